//! Addresses that secrets and keys are sent to or come from.

use http::Uri;

use super::reader::Item;
use crate::issuer::is_secure;

/// An address that nobody on the way can answer for: `https`, or `http` on this machine; `danger` says what else could
/// happen. It is never shown: a query may hold a secret.
pub(super) fn secure_url(item: &Item<'_>, example: &str, danger: &str) -> Option<Uri> {
    let text = item.word()?;
    let uri = text.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    let (Some(uri), false) = (uri, text.contains(['#', '@'])) else {
        return item.wrong(&format!("must be a URL without user information and fragment, such as \"{example}\""));
    };
    if is_secure(&uri) {
        return Some(uri);
    }
    item.wrong(&format!("must be https; http is for loopback addresses (127.0.0.1, [::1]) only: {danger}"))
}
