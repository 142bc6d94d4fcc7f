//! What every request counts, for Prometheus. The counters of a request that is forwarded are each thread's own: see
//! [`PerThread`].

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus::{
    IntCounter, IntCounterVec, Opts,
    core::{Collector, Desc},
    proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use crate::{domain::Reason, per_thread::PerThread};

/// Seconds that the gateway adds: 50 µs to about 1.6 s.
const GATEWAY_BUCKETS: [f64; 11] = [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.025, 0.1, 0.4, 1.6];

/// Seconds that upstreams and password hashes take.
pub(super) const WAIT_BUCKETS: [f64; 12] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Buckets of a histogram, at most.
const BUCKETS_MAX: usize = 12;

/// Statuses that are frequent enough for counters of each thread.
const FREQUENT_CODES: [u16; 20] =
    [200, 201, 202, 204, 206, 301, 302, 304, 400, 401, 403, 404, 405, 409, 422, 429, 500, 502, 503, 504];

/// The decision that is frequent enough for counters of each thread.
const FORWARD: &str = "forward";

/// A route's counters.
#[derive(Debug)]
pub struct RouteMetrics {
    name: Box<str>,
    requests: IntCounterVec,
    decisions: IntCounterVec,
    /// By whether it was a decision, one in shadow mode, or an error, and by reason; without those to forward.
    by_reason: [[OnceLock<IntCounter>; Reason::ALL.len()]; 3],
    frequent: PerThread<RouteCounts>,
}

/// What one thread has counted of a route.
struct RouteCounts {
    by_code: [AtomicU64; FREQUENT_CODES.len()],
    forwarded_by_reason: [AtomicU64; Reason::ALL.len()],
    gateway_seconds: Durations,
}

impl RouteMetrics {
    /// Counts an answer, to which the gateway `added` so much time.
    pub fn answered(&self, code: u16, added: Duration) {
        let own = self.frequent.own();
        own.gateway_seconds.observe(added, &GATEWAY_BUCKETS);
        match FREQUENT_CODES.iter().position(|&frequent| frequent == code) {
            Some(at) => raise(&own.by_code[at]),
            None => self.requests.with_label_values(&[&self.name, code.to_string().as_str()]).inc(),
        }
    }

    /// Counts a decision.
    pub fn decided(&self, decision: &'static str, reason: Reason) {
        if decision == FORWARD {
            return raise(&self.frequent.own().forwarded_by_reason[reason as usize]);
        }
        let counter = || self.decisions.with_label_values(&[&*self.name, decision, reason.name()]);
        // A reason that refuses is either enforced or in shadow mode, on the same route, as reloads have it.
        let kind = match decision {
            "error" => 2,
            "shadow" => 1,
            _ => 0,
        };
        self.by_reason[kind][reason as usize].get_or_init(counter).inc();
    }

    /// The route's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Default for RouteCounts {
    fn default() -> Self {
        Self {
            by_code: std::array::from_fn(|_| AtomicU64::new(0)),
            forwarded_by_reason: std::array::from_fn(|_| AtomicU64::new(0)),
            gateway_seconds: Durations::default(),
        }
    }
}

impl RouteCounts {
    fn add(&self, other: &Self) {
        add_all(&self.by_code, &other.by_code);
        add_all(&self.forwarded_by_reason, &other.forwarded_by_reason);
        self.gateway_seconds.add(&other.gateway_seconds);
    }
}

impl fmt::Debug for RouteCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteCounts").finish_non_exhaustive()
    }
}

/// The waits for an upstream's responses.
#[derive(Debug)]
pub struct UpstreamWaits {
    upstream: Box<str>,
    counts: PerThread<Durations>,
}

impl UpstreamWaits {
    /// Counts a wait.
    pub fn observe(&self, wait: Duration) {
        self.counts.own().observe(wait, &WAIT_BUCKETS);
    }
}

/// A histogram of durations, as one thread counts it.
#[derive(Debug, Default)]
struct Durations {
    /// The last one takes what is above all bounds.
    buckets: [AtomicU64; BUCKETS_MAX + 1],
    nanoseconds: AtomicU64,
}

impl Durations {
    /// `bounds` are in seconds, and always the same.
    fn observe(&self, duration: Duration, bounds: &[f64]) {
        let seconds = duration.as_secs_f64();
        let at = bounds.iter().position(|&bound| seconds <= bound).unwrap_or(bounds.len());
        raise(&self.buckets[at.min(BUCKETS_MAX)]);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    fn add(&self, other: &Self) {
        add_all(&self.buckets, &other.buckets);
        self.nanoseconds.fetch_add(other.nanoseconds.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// The counters of requests by route, and of waits by upstream.
#[derive(Clone, Debug)]
pub(super) struct RequestMetrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    requests: IntCounterVec,
    decisions: IntCounterVec,
    gateway_seconds: Desc,
    upstream_seconds: Desc,
    routes: Mutex<BTreeMap<Box<str>, Arc<RouteMetrics>>>,
    upstreams: Mutex<BTreeMap<Box<str>, Arc<UpstreamWaits>>>,
}

impl RequestMetrics {
    /// Without a route.
    ///
    /// # Errors
    /// Only for names that Prometheus does not take: a defect.
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str, label: &str| {
            Desc::new(name.to_owned(), help.to_owned(), vec![label.to_owned()], [].into())
        };
        let counters = |name, help, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        Ok(Self(Arc::new(Families {
            requests: counters("portero_requests_total", "Requests answered.", &["route", "code"])?,
            decisions: counters("portero_decisions_total", "Decisions taken.", &["route", "decision", "reason"])?,
            gateway_seconds: histogram("portero_gateway_seconds", "Time that the gateway added.", "route")?,
            upstream_seconds: histogram(
                "portero_upstream_seconds",
                "Time until the upstream's answer began.",
                "upstream",
            )?,
            routes: Mutex::default(),
            upstreams: Mutex::default(),
        })))
    }

    /// The counters of a route: always the same for a name, so that a reload goes on counting.
    pub(super) fn route(&self, name: &str) -> Arc<RouteMetrics> {
        let route = || {
            Arc::new(RouteMetrics {
                name: name.into(),
                requests: self.0.requests.clone(),
                decisions: self.0.decisions.clone(),
                by_reason: std::array::from_fn(|_| Reason::ALL.map(|_| OnceLock::new())),
                frequent: PerThread::default(),
            })
        };
        Arc::clone(lock(&self.0.routes).entry(name.into()).or_insert_with(route))
    }

    /// The waits for an upstream: always the same for a name.
    pub(super) fn upstream(&self, name: &str) -> Arc<UpstreamWaits> {
        let upstream = || Arc::new(UpstreamWaits { upstream: name.into(), counts: PerThread::default() });
        Arc::clone(lock(&self.0.upstreams).entry(name.into()).or_insert_with(upstream))
    }
}

impl Collector for RequestMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let Families { requests, decisions, gateway_seconds, upstream_seconds, .. } = &*self.0;
        [requests.desc(), decisions.desc(), vec![gateway_seconds, upstream_seconds]].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (mut routes, mut upstreams) = (lock(&self.0.routes), lock(&self.0.upstreams));
        // The config knows those no more of which nobody else has a handle: their counts stay, and take less room.
        routes.values_mut().filter_map(Arc::get_mut).for_each(|route| route.frequent.gather(RouteCounts::add));
        upstreams.values_mut().filter_map(Arc::get_mut).for_each(|waits| waits.counts.gather(Durations::add));
        let (routes, upstreams): (Vec<_>, Vec<_>) =
            (routes.values().cloned().collect(), upstreams.values().cloned().collect());
        // Whatever is rare stands there already.
        let mut families = [self.0.requests.collect(), self.0.decisions.collect()].concat();
        if let [requests, decisions] = &mut *families {
            for route in &routes {
                let counts: Vec<_> = route.frequent.all().collect();
                if !counts.is_empty() {
                    requests.mut_metric().extend(route.frequent_codes(&counts));
                    decisions.mut_metric().extend(route.forwarded(&counts));
                }
            }
        }
        let gateway_seconds = routes.iter().map(|route| {
            let counts = route.frequent.all().map(|own| &own.gateway_seconds);
            histogram("route", &route.name, counts, &GATEWAY_BUCKETS)
        });
        let upstream_seconds =
            upstreams.iter().map(|waits| histogram("upstream", &waits.upstream, waits.counts.all(), &WAIT_BUCKETS));
        families.push(family(&self.0.gateway_seconds, gateway_seconds.collect()));
        families.push(family(&self.0.upstream_seconds, upstream_seconds.collect()));
        families
    }
}

impl RouteMetrics {
    fn frequent_codes(&self, counts: &[&RouteCounts]) -> impl Iterator<Item = Metric> {
        FREQUENT_CODES.iter().enumerate().filter_map(|(at, code)| {
            let count = sum(counts.iter().map(|own| &own.by_code[at]));
            (count > 0).then(|| counter(count, &[("code", &code.to_string()), ("route", &self.name)]))
        })
    }

    fn forwarded(&self, counts: &[&RouteCounts]) -> impl Iterator<Item = Metric> {
        Reason::ALL.iter().filter_map(|&reason| {
            let count = sum(counts.iter().map(|own| &own.forwarded_by_reason[reason as usize]));
            let labels = [("decision", FORWARD), ("reason", reason.name()), ("route", &self.name)];
            (count > 0).then(|| counter(count, &labels))
        })
    }
}

fn counter(count: u64, labels: &[(&str, &str)]) -> Metric {
    let mut metric = Metric::from_label(labels.iter().map(|(name, value)| label(name, value)).collect());
    let mut counter = Counter::default();
    counter.set_value(number(count));
    metric.set_counter(counter);
    metric
}

fn histogram<'c>(name: &str, value: &str, counts: impl Iterator<Item = &'c Durations>, bounds: &[f64]) -> Metric {
    let counts: Vec<_> = counts.collect();
    let mut below = 0;
    let buckets = bounds.iter().enumerate().map(|(at, &bound)| {
        below += sum(counts.iter().map(|own| &own.buckets[at]));
        let mut bucket = Bucket::default();
        bucket.set_cumulative_count(below);
        bucket.set_upper_bound(bound);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(below + sum(counts.iter().map(|own| &own.buckets[bounds.len().min(BUCKETS_MAX)])));
    histogram.set_sample_sum(number(sum(counts.iter().map(|own| &own.nanoseconds))) / 1e9);
    let mut metric = Metric::from_label(vec![label(name, value)]);
    metric.set_histogram(histogram);
    metric
}

fn family(desc: &Desc, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(desc.fq_name.clone());
    family.set_help(desc.help.clone());
    family.set_field_type(MetricType::HISTOGRAM);
    family.set_metric(metrics);
    family
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

fn raise(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

fn add_all(counts: &[AtomicU64], others: &[AtomicU64]) {
    for (count, other) in counts.iter().zip(others) {
        count.fetch_add(other.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

fn sum<'c>(counts: impl Iterator<Item = &'c AtomicU64>) -> u64 {
    counts.map(|count| count.load(Ordering::Relaxed)).sum()
}

/// What Prometheus has for numbers: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "the format has no other numbers")]
const fn number(count: u64) -> f64 {
    count as f64
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under the lock leaves the map half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use prometheus::{Encoder, Registry, TextEncoder};

    use super::*;

    fn text(metrics: &RequestMetrics) -> String {
        let registry = Registry::new();
        registry.register(Box::new(metrics.clone())).unwrap();
        let mut text = vec![];
        TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn threads_count_together() {
        let metrics = RequestMetrics::new().unwrap();
        let upstream = metrics.upstream("crm");
        let waits = &upstream;
        std::thread::scope(|scope| {
            for millis in [1, 2, 400, 20_000] {
                let (route, upstream) = (metrics.route("r"), waits);
                scope.spawn(move || {
                    route.answered(if millis == 2 { 418 } else { 200 }, Duration::from_micros(100 * millis));
                    route.decided(if millis == 2 { "shadow" } else { "forward" }, Reason::Public);
                    upstream.observe(Duration::from_millis(millis));
                });
            }
        });
        metrics.route("r").decided("deny", Reason::Expired);
        drop(upstream);
        // The second time, the counts of all threads stand in one place.
        assert_eq!(text(&metrics), text(&metrics));
        assert_eq!(metrics.route("r").frequent.all().count(), 1);
        let text = text(&metrics);
        for line in [
            r#"portero_requests_total{code="200",route="r"} 3"#,
            r#"portero_requests_total{code="418",route="r"} 1"#,
            r#"portero_decisions_total{decision="deny",reason="expired",route="r"} 1"#,
            r#"portero_decisions_total{decision="forward",reason="public",route="r"} 3"#,
            r#"portero_decisions_total{decision="shadow",reason="public",route="r"} 1"#,
            r#"portero_gateway_seconds_bucket{route="r",le="0.0001"} 1"#,
            r#"portero_gateway_seconds_bucket{route="r",le="1.6"} 3"#,
            r#"portero_gateway_seconds_bucket{route="r",le="+Inf"} 4"#,
            r#"portero_gateway_seconds_sum{route="r"} 2.0403"#,
            r#"portero_gateway_seconds_count{route="r"} 4"#,
            r#"portero_upstream_seconds_bucket{upstream="crm",le="0.0025"} 2"#,
            r#"portero_upstream_seconds_bucket{upstream="crm",le="10"} 3"#,
            r#"portero_upstream_seconds_bucket{upstream="crm",le="+Inf"} 4"#,
            r#"portero_upstream_seconds_count{upstream="crm"} 4"#,
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in:\n{text}");
        }
    }

    #[test]
    fn a_route_that_has_answered_nothing_has_no_counters_and_an_empty_histogram() {
        let metrics = RequestMetrics::new().unwrap();
        metrics.route("r");
        let text = text(&metrics);
        assert!(text.contains(r#"portero_gateway_seconds_count{route="r"} 0"#), "{text}");
        assert!(!text.contains("portero_requests_total{"), "{text}");
    }

    #[test]
    fn every_bound_has_a_bucket() {
        assert!(GATEWAY_BUCKETS.len() <= BUCKETS_MAX && WAIT_BUCKETS.len() <= BUCKETS_MAX);
    }
}
