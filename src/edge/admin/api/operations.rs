//! The API's operations: each is registered with its method, its path, the least role that it takes, and what the
//! document says of it. There is no other way to add one, so none is without a role, and none is missing in the
//! document.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    http::StatusCode,
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
    routing::{MethodFilter, MethodRouter, on},
};

use super::super::{access::failure, context::Admin, operator::require_role};
use crate::state::admin_token::AdminRole;

/// What a member of a request or a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Boolean,
    /// A list of texts.
    Texts,
    /// Pairs of texts.
    Pairs,
    /// A list of objects that the page describes.
    Objects,
}

/// A member of a request's body or query, or of a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) is_required: bool,
    pub(super) is_nullable: bool,
}

impl Member {
    /// One that is always there.
    pub(super) const fn required(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, is_required: true, is_nullable: false }
    }

    /// One that may be left out.
    pub(super) const fn optional(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, is_required: false, is_nullable: false }
    }

    /// The same, which may be `null`.
    pub(super) const fn nullable(self) -> Self {
        Self { is_nullable: true, ..self }
    }
}

/// What a response with 200 holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum ResponseBody {
    One(&'static [Member]),
    Many(&'static [Member]),
}

/// What the document says of an operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    pub(super) summary: &'static str,
    pub(super) query: &'static [Member],
    /// The bodies that it takes: one of these. None for an operation without a body.
    pub(super) bodies: &'static [&'static [Member]],
    pub(super) response: ResponseBody,
}

/// An operation, as the document lists it.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge::admin) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) role: AdminRole,
    pub(super) about: About,
}

/// Operations, and the router that serves them.
pub(in crate::edge::admin) struct Operations {
    admin: Arc<Admin>,
    router: Router<Arc<Admin>>,
    listed: Vec<Operation>,
}

impl Operations {
    pub(super) fn new(admin: &Arc<Admin>) -> Self {
        Self { admin: Arc::clone(admin), router: Router::new(), listed: vec![] }
    }

    /// Adds one that is asked for with GET.
    pub(super) fn get<H, T>(self, path: &'static str, role: AdminRole, about: About, handler: H) -> Self
    where
        H: Handler<T, Arc<Admin>>,
        T: 'static,
    {
        self.add(Operation { method: "GET", path, role, about }, on(MethodFilter::GET, handler))
    }

    /// Adds one that is asked for with POST.
    pub(super) fn post<H, T>(self, path: &'static str, role: AdminRole, about: About, handler: H) -> Self
    where
        H: Handler<T, Arc<Admin>>,
        T: 'static,
    {
        self.add(Operation { method: "POST", path, role, about }, on(MethodFilter::POST, handler))
    }

    /// Adds one that is asked for with PATCH.
    pub(super) fn patch<H, T>(self, path: &'static str, role: AdminRole, about: About, handler: H) -> Self
    where
        H: Handler<T, Arc<Admin>>,
        T: 'static,
    {
        self.add(Operation { method: "PATCH", path, role, about }, on(MethodFilter::PATCH, handler))
    }

    fn add(mut self, operation: Operation, handler: MethodRouter<Arc<Admin>>) -> Self {
        let state = (Arc::clone(&self.admin), operation.role);
        let handler =
            if operation.about.query.is_empty() { handler.route_layer(from_fn(take_no_query)) } else { handler };
        let guarded = handler.route_layer(from_fn_with_state(state, require_role));
        self.router = self.router.route(operation.path, guarded);
        self.listed.push(operation);
        self
    }

    /// The router, and the list of what it serves.
    pub(in crate::edge::admin) fn finish(self) -> (Router<Arc<Admin>>, Vec<Operation>) {
        (self.router, self.listed)
    }
}

/// Refuses parameters of an operation that has none: a client that says `?wait=all` must not believe that somebody
/// waits.
async fn take_no_query(request: Request, next: Next) -> Response {
    if request.uri().query().is_some_and(|query| !query.is_empty()) {
        return failure(StatusCode::BAD_REQUEST, "this takes no parameters behind the path; see docs/admin-api.md");
    }
    next.run(request).await
}
