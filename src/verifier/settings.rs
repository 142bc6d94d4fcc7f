//! What an old system is, as the config says.

use std::{path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderName, Uri};

use crate::rules::verifier::{Evidence, Syntax, TokenQuestion, TokenRules};

/// An old system that is asked about logins (`[verifiers.NAME]`), checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierSettings {
    /// Its name in the config, in metrics and in the store.
    pub name: Arc<str>,
    /// Its login endpoint: `https`, or `http` on a loopback address; without user information, query and fragment.
    pub url: Uri,
    /// The PEM file of the certificates that its own is traced to; default the system's.
    pub ca: Option<PathBuf>,
    /// For a connection; default 2 s.
    pub connect_timeout: Duration,
    /// For a whole exchange, from the name's resolution to the last byte; default 5 s.
    pub timeout: Duration,
    /// How much it is asked.
    pub bounds: Bounds,
    /// The field in which it is told the client's address; `None` where it is not told.
    pub client_header: Option<HeaderName>,
    /// The form of its names.
    pub names: Syntax,
    /// The form of its secrets.
    pub secrets: Syntax,
    /// What counts as a yes and as a no.
    pub evidence: Evidence,
    /// How it is asked about its tokens; `None` where it is not.
    pub tokens: Option<TokenCheckSettings>,
}

/// How an old system is asked about its tokens (`[verifiers.NAME.tokens]`), checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenCheckSettings {
    /// Where.
    pub endpoint: CheckEndpoint,
    /// The question.
    pub question: TokenQuestion,
    /// What counts as a yes and as a no.
    pub evidence: TokenRules,
    /// How long a yes counts, at most; default [`MAX_AGE_DEFAULT`]. What the old system revokes ends here as late.
    pub max_age: Duration,
    /// How much it is asked, beside its logins.
    pub bounds: Bounds,
}

/// Where somebody is asked about tokens: `https`, or `http` on a loopback address; without user information and
/// fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckEndpoint {
    /// There.
    At(Uri),
    /// Where the metadata say of `issuer`, which `url` is, or whose document it is.
    Discovered {
        /// The issuer, or its metadata document.
        url: Uri,
        /// The issuer, letter by letter.
        issuer: String,
    },
}

impl CheckEndpoint {
    /// What the config names.
    #[must_use]
    pub const fn url(&self) -> &Uri {
        match self {
            Self::At(url) | Self::Discovered { url, .. } => url,
        }
    }
}

/// How long a yes about a token counts unless the config says otherwise.
pub const MAX_AGE_DEFAULT: Duration = Duration::from_secs(30);

/// How much an old system is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Questions a second, at most; default 20.
    pub rate: u32,
    /// Questions at once, at most; default 8.
    pub concurrency: usize,
    /// Logins that wait for their question, at most; one more is told to come again. Default 256.
    pub queue: usize,
    /// How long a login waits for its question; default 5 s.
    pub wait: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { rate: 20, concurrency: 8, queue: 256, wait: Duration::from_secs(5) }
    }
}

impl VerifierSettings {
    /// The system at `url`, with every default.
    #[must_use]
    pub fn new(name: &str, url: Uri) -> Self {
        Self {
            name: name.into(),
            url,
            ca: None,
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            bounds: Bounds::default(),
            client_header: None,
            names: Syntax::default(),
            secrets: Syntax { chars: 1..=1024, ..Syntax::default() },
            evidence: Evidence::default(),
            tokens: None,
        }
    }
}
