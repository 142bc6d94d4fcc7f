//! Which of the files beside this one answers a request.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;

use super::{TokenEndpoints, TokenMessage};
use crate::decision::{Endpoint, Service};

impl TokenEndpoints {
    /// Answers, and says in one word what came of it.
    pub async fn answer(&self, endpoint: &Arc<Endpoint>, message: TokenMessage) -> (Response<Bytes>, &'static str) {
        match endpoint.serves {
            Service::Login | Service::Refresh => self.answer_contract(endpoint, message).await,
            Service::OauthToken | Service::OauthRevocation | Service::OauthIntrospection => {
                // Boxed: it is larger than all that the others need.
                Box::pin(self.answer_oauth(endpoint, message)).await
            }
            Service::Jwks | Service::InternalJwks | Service::Metadata | Service::ResourceMetadata => {
                self.answer_document(endpoint, &message.method)
            }
        }
    }
}
