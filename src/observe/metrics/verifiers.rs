//! What old systems and issuers that are asked about logins and tokens count.

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, core::Collector};

/// Bounds of the time of an exchange, in seconds.
const BUCKETS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The families.
#[derive(Clone, Debug)]
pub(super) struct VerifierFamilies {
    questions: IntCounterVec,
    token_questions: IntCounterVec,
    logins: IntCounterVec,
    comparisons: IntCounterVec,
    seconds: HistogramVec,
    believed: IntGaugeVec,
    unconfirmed: IntGaugeVec,
    accounts: IntGaugeVec,
    introspections: IntCounterVec,
    introspection_seconds: HistogramVec,
}

/// An old system's handles. An exchange with it takes far longer than a look-up.
#[derive(Clone, Debug)]
pub struct VerifierMetrics {
    name: Box<str>,
    questions: IntCounterVec,
    logins: IntCounterVec,
    comparisons: IntCounterVec,
    /// Time of one exchange.
    pub seconds: Histogram,
    believed: IntGauge,
    /// Logins that were decided while the system was away, and are not confirmed yet.
    pub unconfirmed: IntGauge,
    accounts: IntGaugeVec,
    /// Of its tokens.
    pub tokens: TokenCheckMetrics,
}

/// The handles of somebody who is asked about tokens: an old system, or an issuer.
#[derive(Clone, Debug)]
pub struct TokenCheckMetrics {
    name: Box<str>,
    questions: IntCounterVec,
    /// Time of one exchange.
    pub seconds: Histogram,
}

impl VerifierFamilies {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let gauges = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["verifier"]);
        let times = |name: &str, help: &str, label: &str| {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(BUCKETS.to_vec()), &[label])
        };
        Ok(Self {
            questions: counters(
                "portero_verifier_questions_total",
                "Questions to an old system, and those that were not put.",
                &["verifier", "outcome"],
            )?,
            token_questions: counters(
                "portero_verifier_token_questions_total",
                "Questions to an old system about its tokens, and those that were not put.",
                &["verifier", "outcome"],
            )?,
            logins: counters(
                "portero_verifier_logins_total",
                "Logins that an old system had a part in.",
                &["verifier", "step", "outcome"],
            )?,
            comparisons: counters(
                "portero_verifier_comparisons_total",
                "Answers of an old system that were compared with Portero's.",
                &["verifier", "outcome"],
            )?,
            seconds: times("portero_verifier_seconds", "Time of one exchange with an old system.", "verifier")?,
            believed: gauges(
                "portero_verifier_believed",
                "1 when the old system refused a name and a password that nobody has; 0 when it was not asked yet, or said yes.",
            )?,
            unconfirmed: gauges(
                "portero_verifier_unconfirmed_logins",
                "Logins of this gateway that were decided while the old system was away, and that it did not confirm yet.",
            )?,
            accounts: IntGaugeVec::new(
                Opts::new(
                    "portero_verifier_accounts",
                    "Accounts of a realm that takes over, by what the old system said of them.",
                ),
                &["verifier", "realm", "state"],
            )?,
            introspections: counters(
                "portero_introspection_questions_total",
                "Questions to an issuer about its tokens, and those that were not put.",
                &["issuer", "outcome"],
            )?,
            introspection_seconds: times(
                "portero_introspection_seconds",
                "Time of one exchange with an issuer's introspection endpoint.",
                "issuer",
            )?,
        })
    }

    /// Each of them, to be registered.
    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.questions.clone()),
            Box::new(self.token_questions.clone()),
            Box::new(self.logins.clone()),
            Box::new(self.comparisons.clone()),
            Box::new(self.seconds.clone()),
            Box::new(self.believed.clone()),
            Box::new(self.unconfirmed.clone()),
            Box::new(self.accounts.clone()),
            Box::new(self.introspections.clone()),
            Box::new(self.introspection_seconds.clone()),
        ]
    }

    pub(super) fn handles(&self, name: &str) -> VerifierMetrics {
        VerifierMetrics {
            name: name.into(),
            questions: self.questions.clone(),
            logins: self.logins.clone(),
            comparisons: self.comparisons.clone(),
            seconds: self.seconds.with_label_values(&[name]),
            tokens: TokenCheckMetrics {
                name: name.into(),
                questions: self.token_questions.clone(),
                seconds: self.seconds.with_label_values(&[name]),
            },
            believed: self.believed.with_label_values(&[name]),
            unconfirmed: self.unconfirmed.with_label_values(&[name]),
            accounts: self.accounts.clone(),
        }
    }

    /// Those of an issuer.
    pub(super) fn introspection(&self, name: &str) -> TokenCheckMetrics {
        TokenCheckMetrics {
            name: name.into(),
            questions: self.introspections.clone(),
            seconds: self.introspection_seconds.with_label_values(&[name]),
        }
    }
}

impl TokenCheckMetrics {
    /// Counts a question, or what stood in its place.
    pub fn asked(&self, outcome: &str) {
        self.questions.with_label_values(&[&*self.name, outcome]).inc();
    }
}

impl VerifierMetrics {
    /// Counts a question, or what stood in its place.
    pub fn asked(&self, outcome: &str) {
        self.questions.with_label_values(&[&*self.name, outcome]).inc();
    }

    /// Counts a login in a step of the migration.
    pub fn login(&self, step: &str, outcome: &str) {
        self.logins.with_label_values(&[&*self.name, step, outcome]).inc();
    }

    /// Counts a comparison.
    pub fn compared(&self, outcome: &str) {
        self.comparisons.with_label_values(&[&*self.name, outcome]).inc();
    }

    /// Shows how many accounts of a realm there are in a state.
    pub fn show_accounts(&self, realm: &str, state: &str, count: u64) {
        let gauge = self.accounts.with_label_values(&[&*self.name, realm, state]);
        gauge.set(count.try_into().unwrap_or(i64::MAX));
    }

    /// Says whether its yes counts.
    pub fn set_believed(&self, believed: bool) {
        self.believed.set(believed.into());
    }
}
