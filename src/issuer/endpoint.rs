//! Where an issuer is asked about its tokens, by its own metadata (RFC 8414 section 2).

use std::{path::Path, time::Duration};

use http::Uri;
use thiserror::Error;

use super::fetch::{FetchError, FetcherError, Getter};

/// The member of the metadata.
const INTROSPECTION_ENDPOINT: &str = "introspection_endpoint";

/// Looks an issuer's introspection endpoint up, as the address of its keys is: the same documents, bounds and
/// addresses.
#[derive(Debug)]
pub struct EndpointLookup {
    getter: Getter,
    url: Uri,
    issuer: String,
    timeout: Duration,
}

/// Why there is no address.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct EndpointLookupError(FetchError);

impl EndpointLookup {
    /// One for `issuer`, which `url` is or whose metadata document it is; each look-up may take `timeout`.
    ///
    /// # Errors
    /// When the certificates to trust cannot be read.
    pub fn new(url: &Uri, issuer: &str, ca: Option<&Path>, timeout: Duration) -> Result<Self, FetcherError> {
        Ok(Self { getter: Getter::new(url, ca)?, url: url.clone(), issuer: issuer.to_owned(), timeout })
    }

    /// The address, as the metadata say it now.
    ///
    /// # Errors
    /// Why they do not.
    pub async fn look_up(&self) -> Result<Uri, EndpointLookupError> {
        let found = self.getter.discover(&self.url, &self.issuer, INTROSPECTION_ENDPOINT);
        let found = tokio::time::timeout(self.timeout, found).await;
        found.unwrap_or(Err(FetchError::Timeout(self.timeout))).map_err(EndpointLookupError)
    }
}
