//! What everybody may read: the public keys of the realms, and the metadata of the authorization server and of
//! resources.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};
use serde_json::{Map, Value, json};

use super::TokenEndpoints;
use crate::{
    decision::{Endpoint, Service},
    domain::Reason,
    edge::respond,
    rules::contract::{Dialect, oauth},
    state::keys::{Audience, published},
};

/// The one word of a document in metrics and logs.
const SERVED: &str = "served";

impl TokenEndpoints {
    pub(super) fn answer_document(&self, endpoint: &Endpoint, method: &Method) -> (Response<Bytes>, &'static str) {
        let (response, outcome) = if matches!(*method, Method::GET | Method::HEAD) {
            let mut response = respond::into_response(oauth::document(&self.document(endpoint)), None);
            if let Some(cache_control) = self.cache_control() {
                response.headers_mut().insert(header::CACHE_CONTROL, cache_control);
            }
            (response, SERVED)
        } else {
            let reason = Reason::MethodNotAllowed;
            let mut response = respond::into_response(Dialect::oauth().contract().deny(reason), None);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            (response, reason.name())
        };
        if let Some(realm) = endpoint.realms.first() {
            endpoint.metrics.token_request(realm.name.as_str(), outcome);
        }
        (response, outcome)
    }

    /// How long a document may be kept: a new key is published before it signs for as long at least.
    /// `None` where no realm is served, and so nobody said for how long.
    fn cache_control(&self) -> Option<HeaderValue> {
        let max_age = self.live_state.snapshot().oauth.as_ref()?.documents_max_age;
        HeaderValue::try_from(format!("public, max-age={}", max_age.as_secs())).ok()
    }

    fn document(&self, endpoint: &Endpoint) -> Map<String, Value> {
        let snapshot = self.live_state.snapshot();
        let set = |keys: Vec<Map<String, Value>>| Map::from_iter([("keys".to_owned(), json!(keys))]);
        match endpoint.serves {
            Service::ResourceMetadata => endpoint.document.as_deref().cloned().unwrap_or_default(),
            Service::Metadata => snapshot.oauth.as_ref().map(|oauth| oauth.metadata.clone()).unwrap_or_default(),
            Service::InternalJwks => set(published(&snapshot.keys, Audience::Upstreams, |_| false)),
            _ => set(published(&snapshot.keys, Audience::Clients, |realm| snapshot.realms.contains_key(realm))),
        }
    }
}
