//! Names of request fields that a server could take for others.
//!
//! Many servers fold names: to CGI, WSGI, PHP and Rack `X_Env`, `X.Env` and `X-Env` are one. So a name counts by its
//! folded form, and where that is a name that means something here, any other spelling of it goes no further.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::fields::{is_framing_or_hop_by_hop, is_of_proxies, is_reserved};

/// Names that CGI (RFC 3875 section 4.1) and what follows it trust, beside those that frame a message.
const OF_CGI: [&str; 18] = [
    "auth-type",
    "content-type",
    "document-root",
    "gateway-interface",
    "path-info",
    "path-translated",
    "query-string",
    "remote-addr",
    "remote-host",
    "remote-ident",
    "remote-port",
    "remote-user",
    "request-method",
    "request-uri",
    "script-filename",
    "script-name",
    "server-name",
    "server-protocol",
];

/// Fields that lead a server astray: to another proxy for its own requests (`Proxy`, CVE-2016-5385), or to another path
/// than the one that was authorised (CVE-2018-14773).
const UNSAFE: [&str; 3] = ["proxy", "x-original-url", "x-rewrite-url"];

/// Fields that ask a server to take the request for one of another method.
const METHOD_OVERRIDES: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// What becomes of names with other octets than letters, digits and hyphens that mean nothing here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OddNames {
    /// They go on.
    #[default]
    Pass,
    /// They are dropped, except those of gRPC, whose metadata has such names.
    Drop,
}

/// Why a field of a request goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Its name is the gateway's own, or is said to proxies.
    Ours,
    /// A server could take its name for one that means something here.
    Spelling,
    /// It leads servers astray.
    Unsafe,
    /// Its name is odd, and [`OddNames::Drop`] holds.
    Odd,
}

impl Dropped {
    /// The word for metrics; `None` for what is not counted, because honest clients behind proxies send it.
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Ours => None,
            Self::Spelling => Some("spelling"),
            Self::Unsafe => Some("unsafe"),
            Self::Odd => Some("odd"),
        }
    }
}

/// The names that a route's config gives a meaning to, made when the config is read.
#[derive(Clone, Debug, Default)]
pub struct MeantNames {
    /// Each as it is spelt, with what it folds to.
    names: Vec<(Box<str>, HeaderName)>,
    /// Whether the config spells one of them oddly: then a plain name may be another spelling.
    has_odd: bool,
    /// Names that the gateway gives claims, in plain letters: they are its own, as `X-Auth-*` are.
    of_claims: Vec<HeaderName>,
}

impl MeantNames {
    /// For these names.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n HeaderName>) -> Self {
        let folded = |name: &HeaderName| (folded(name.as_str()).into(), name.clone());
        let names: Vec<_> = names.into_iter().map(folded).collect();
        Self { has_odd: names.iter().any(|(_, name)| is_odd(name.as_str())), names, of_claims: vec![] }
    }

    /// The same, and these are the gateway's own. They have letters, digits and hyphens.
    #[must_use]
    pub fn with_claims(self, of_claims: Vec<HeaderName>) -> Self {
        Self { of_claims, ..self }
    }

    /// Why a field of this name, in lower case, goes no further; `None` where it does.
    #[must_use]
    pub fn judge(&self, name: &str, odd_names: OddNames) -> Option<Dropped> {
        if !is_odd(name) {
            return judge_plain(name)
                .or_else(|| self.is_of_a_claim(name).then_some(Dropped::Ours))
                .or_else(|| (self.has_odd && self.respells(name, name)).then_some(Dropped::Spelling));
        }
        let plain = folded(name);
        let is_meant = is_reserved(&plain)
            || is_framing_or_hop_by_hop(&plain)
            || means_something(&plain)
            || self.is_of_a_claim(&plain)
            || self.respells(&plain, name);
        match odd_names {
            _ if UNSAFE.contains(&&*plain) => Some(Dropped::Unsafe),
            _ if is_meant => Some(Dropped::Spelling),
            OddNames::Drop if !self.names.iter().any(|(_, spelt)| spelt == name) => Some(Dropped::Odd),
            _ => None,
        }
    }

    fn is_of_a_claim(&self, name: &str) -> bool {
        self.of_claims.iter().any(|own| own.as_str() == name)
    }

    /// Whether the config names what `name` folds to, and only in other spellings.
    fn respells(&self, folded: &str, name: &str) -> bool {
        let mut known = self.names.iter().filter(|(known, _)| **known == *folded).peekable();
        known.peek().is_some() && known.all(|(_, spelt)| spelt != name)
    }
}

/// Whether a plain name, in lower case, means something to servers beyond what is said to the gateway.
#[must_use]
pub fn means_something(name: &str) -> bool {
    OF_CGI.contains(&name) || METHOD_OVERRIDES.contains(&name) || UNSAFE.contains(&name)
}

fn judge_plain(name: &str) -> Option<Dropped> {
    if is_reserved(name) || is_of_proxies(name.as_bytes()) {
        return Some(Dropped::Ours);
    }
    UNSAFE.contains(&name).then_some(Dropped::Unsafe)
}

/// The methods that fields ask a server to take the request for.
#[inline]
pub fn method_overrides(headers: &HeaderMap) -> impl Iterator<Item = &HeaderValue> {
    // Each request's fields are asked this: few have a name of such a length.
    let asks = |name: &&HeaderName| {
        let name = name.as_str();
        METHOD_OVERRIDES.iter().any(|one| one.len() == name.len()) && METHOD_OVERRIDES.contains(&name)
    };
    headers.keys().filter(asks).flat_map(|name| headers.get_all(name))
}

/// Makes one of several equal `Authorization` fields: a server that reads the first, the last or all of them joined
/// finds the same.
pub fn join_authorization(headers: &mut HeaderMap) {
    // Each name that stands there once is one value.
    if headers.len() == headers.keys_len() {
        return;
    }
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    if let Some(first) = values.next()
        && values.all(|value| value == first)
    {
        let first = first.clone();
        headers.insert(header::AUTHORIZATION, first);
    }
}

/// Whether a name, in lower case, has other octets than letters, digits and hyphens.
fn is_odd(name: &str) -> bool {
    const PLAIN: [bool; 256] = {
        let mut table = [false; 256];
        let mut octet = 0_u8;
        while octet < 128 {
            table[octet as usize] = octet.is_ascii_alphanumeric() || octet == b'-';
            octet += 1;
        }
        table
    };
    !name.bytes().all(|octet| PLAIN[usize::from(octet)])
}

/// The form in which servers compare names: every other octet is a hyphen.
fn folded(name: &str) -> Cow<'_, str> {
    if !is_odd(name) {
        return Cow::Borrowed(name);
    }
    let fold = |octet: char| if octet.is_ascii_alphanumeric() { octet } else { '-' };
    Cow::Owned(name.chars().map(fold).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(names: &[&'static str]) -> MeantNames {
        let names: Vec<_> = names.iter().map(|name| HeaderName::from_static(name)).collect();
        MeantNames::new(&names)
    }

    #[test]
    fn a_name_counts_by_its_folded_form() {
        let meant = meant(&["x-env", "x_old"]);
        for (name, verdict) in [
            ("x-env", None),
            ("x_env", Some(Dropped::Spelling)),
            ("x~env", Some(Dropped::Spelling)),
            ("x_old", None),
            ("x-old", Some(Dropped::Spelling)),
            ("x.old", Some(Dropped::Spelling)),
            ("remote-user", None),
            ("remote_user", Some(Dropped::Spelling)),
            ("content_length", Some(Dropped::Spelling)),
            ("transfer.encoding", Some(Dropped::Spelling)),
            ("x_http_method", Some(Dropped::Spelling)),
            ("x-auth-role", Some(Dropped::Ours)),
            ("x_auth_role", Some(Dropped::Spelling)),
            ("proxy-connection", Some(Dropped::Ours)),
            ("proxy_connection", Some(Dropped::Spelling)),
            ("proxy", Some(Dropped::Unsafe)),
            ("x-original-url", Some(Dropped::Unsafe)),
            ("x_rewrite-url", Some(Dropped::Unsafe)),
            ("my_key", None),
            ("x_envy", None),
            ("proxied", None),
        ] {
            assert_eq!(meant.judge(name, OddNames::Pass), verdict, "{name}");
            let is_odd = matches!(name, "my_key" | "x_envy");
            assert_eq!(meant.judge(name, OddNames::Drop), verdict.or(is_odd.then_some(Dropped::Odd)), "{name}");
        }
    }

    #[test]
    fn what_the_config_spells_oddly_itself_is_never_odd() {
        assert_eq!(meant(&["x_old"]).judge("x_old", OddNames::Drop), None);
        assert_eq!(meant(&["x_old", "x-old"]).judge("x-old", OddNames::Drop), None);
        assert_eq!(meant(&["x_old", "x-old"]).judge("x.old", OddNames::Pass), Some(Dropped::Spelling));
    }

    #[test]
    fn a_claims_field_is_the_gateways_own() {
        let meant = meant(&["x-env"]).with_claims(vec![HeaderName::from_static("x-tenant")]);
        for (name, verdict) in [
            ("x-tenant", Some(Dropped::Ours)),
            ("x_tenant", Some(Dropped::Spelling)),
            ("x.tenant", Some(Dropped::Spelling)),
            ("x-tenants", None),
            ("x-env", None),
        ] {
            assert_eq!(meant.judge(name, OddNames::Pass), verdict, "{name}");
        }
    }

    #[test]
    fn lists_are_of_folded_names() {
        for name in OF_CGI.iter().chain(&UNSAFE).chain(&METHOD_OVERRIDES) {
            assert_eq!(folded(name), *name);
            assert!(!is_odd(name));
        }
    }

    #[test]
    fn equal_authorizations_become_one_and_others_stay() {
        for (values, left) in [
            (&["a"][..], &["a"][..]),
            (&["a", "a", "a"], &["a"]),
            (&["a", "b"], &["a", "b"]),
            (&["a", "a", "b"], &["a", "a", "b"]),
            (&[], &[]),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            headers.append("x", HeaderValue::from_static("1"));
            headers.append("x", HeaderValue::from_static("1"));
            join_authorization(&mut headers);
            assert_eq!(headers.get_all(header::AUTHORIZATION).iter().collect::<Vec<_>>(), left);
            assert_eq!(headers.get_all("x").iter().count(), 2);
        }
    }
}
