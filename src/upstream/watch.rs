//! What goes on in the background of a pool, as long as anybody uses it: names are looked up again
//! and followed where they lead, and servers are asked whether they are healthy. Never on a request's way.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    net::lookup_host,
    runtime::Handle,
    task::{Id, JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{
    local::is_local,
    pool::Pool,
    probe::{Unhealthy, ask},
    server::Server,
    settings::{Health, ServerSettings},
};

/// How long a start or a reload waits for names: those that take longer are followed when they come.
const FIRST_LOOK_UP: Duration = Duration::from_secs(2);

/// Looks up the names of these pools' servers, all at once. A name that leads nowhere yet is said
/// and looked up again later: its server has no requests until then.
pub async fn look_up(pools: &[Arc<Pool>]) {
    let mut looking = JoinSet::new();
    for pool in pools {
        for entry in named(pool) {
            let pool = Arc::clone(pool);
            looking.spawn(async move { look_up_one(&pool, &entry, &mut true).await });
        }
    }
    let all = async { while looking.join_next().await.is_some() {} };
    if timeout(FIRST_LOOK_UP, all).await.is_err() {
        tracing::warn!("names of servers are still being looked up; their servers have no requests until then");
    }
}

/// Watches a pool on `control` until nobody has it any more.
pub fn watch(control: &Handle, pool: &Arc<Pool>) {
    for entry in named(pool) {
        control.spawn(follow(Arc::downgrade(pool), entry, pool.settings.resolve));
    }
    if let Some(health) = pool.settings.health.clone() {
        control.spawn(check(Arc::downgrade(pool), health));
    }
}

/// The servers that have a name to look up.
fn named(pool: &Pool) -> Vec<ServerSettings> {
    let is_name = |server: &&ServerSettings| server.host.parse::<IpAddr>().is_err();
    pool.settings.servers.iter().filter(is_name).cloned().collect()
}

async fn follow(pool: Weak<Pool>, entry: ServerSettings, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once, and the names were looked up when the pool was made.
    ticks.tick().await;
    // A name that led nowhere when the pool was made was said to then.
    let has_address = |pool: Arc<Pool>| pool.servers().iter().any(|server| server.address() == &*entry.name);
    let mut was_found = pool.upgrade().is_some_and(has_address);
    loop {
        ticks.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        look_up_one(&pool, &entry, &mut was_found).await;
    }
}

async fn look_up_one(pool: &Pool, entry: &ServerSettings, was_found: &mut bool) {
    let found = lookup_host((&*entry.host, entry.port)).await.map(Iterator::collect);
    take_over(pool, entry, found, was_found);
}

/// What becomes of a look-up's answer. One that failed changes nothing: a name server that is away
/// takes no upstream with it.
fn take_over(pool: &Pool, entry: &ServerSettings, found: io::Result<Vec<SocketAddr>>, was_found: &mut bool) {
    let (upstream, server) = (&*pool.settings.name, &*entry.name);
    let found = found.and_then(|addresses| {
        let addresses = one_family(&addresses);
        let external = pool.external(&addresses);
        match (addresses.is_empty(), external.is_empty()) {
            (true, _) => Err(io::Error::from(io::ErrorKind::NotFound)),
            (false, true) => Err(io::Error::other("it leads to this gateway itself")),
            (false, false) => Ok(external),
        }
    });
    match found {
        Ok(addresses) => {
            if pool.set_addresses(entry, &addresses) {
                tracing::info!(upstream, server, ?addresses, "a server's name has other addresses");
            }
            *was_found = true;
        }
        Err(error) => {
            if std::mem::take(was_found) {
                tracing::warn!(upstream, server, %error, "a server's name could not be looked up; what is known of it stays");
            }
        }
    }
}

/// The IPv4 addresses, where there are any: a name often has both, and the server listens on one.
fn one_family(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let has_v4 = addresses.iter().any(SocketAddr::is_ipv4);
    addresses.iter().copied().filter(|address| address.is_ipv4() == has_v4).collect()
}

async fn check(pool: Weak<Pool>, health: Health) {
    let mut ticks = interval(health.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // By the server's number: two of them may have one address.
    let mut streaks: HashMap<u64, ProbeStreak> = HashMap::new();
    // A server that is silent holds up no question to another.
    let mut asking = JoinSet::new();
    let mut asked: HashMap<Id, u64> = HashMap::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let Some(pool) = pool.upgrade() else { return };
                let servers = pool.servers();
                streaks.retain(|number, _| servers.iter().any(|server| server.number() == *number));
                for server in servers {
                    let number = server.number();
                    if asked.values().any(|one| *one == number) {
                        continue;
                    }
                    let (pool, health) = (Arc::clone(&pool), health.clone());
                    let task = asking.spawn(async move {
                        let result = timeout(health.timeout, ask(&pool, &server, &health.probe)).await;
                        let result = result.unwrap_or_else(|late| Err(Unhealthy::Connection(late.into())));
                        (server, result)
                    });
                    asked.insert(task.id(), number);
                }
            }
            Some(ended) = asking.join_next_with_id() => {
                asked.remove(&ended.as_ref().map_or_else(JoinError::id, |(task, _)| *task));
                let Some((pool, Ok((_, (server, result))))) = pool.upgrade().zip(Some(ended)) else { continue };
                note(&pool, &server, result, streaks.entry(server.number()).or_default(), &health);
            }
        }
    }
}

/// Notes what a server was found to be.
fn note(pool: &Pool, server: &Server, result: Result<(), Unhealthy>, streak: &mut ProbeStreak, health: &Health) {
    if matches!(&result, Err(Unhealthy::Connection(error)) if is_local(error)) {
        // Nobody was asked.
        return;
    }
    if let Some(healthy) = streak.count(result.is_ok(), server.passes_probes(), health) {
        server.set_passes_probes(healthy, Instant::now().into_std());
        say(pool, server, result.err());
    }
}

fn say(pool: &Pool, server: &Server, why: Option<Unhealthy>) {
    let (upstream, address) = (&*pool.settings.name, server.socket);
    match why {
        None => tracing::info!(upstream, server = server.address(), %address, "a server is well again"),
        Some(why) => {
            tracing::warn!(upstream, server = server.address(), %address, %why, "a server is not well");
        }
    }
}

/// Probe results in a row that speak against what is believed.
#[derive(Debug, Default)]
struct ProbeStreak(u32);

impl ProbeStreak {
    /// Counts the result of a probe; what is to be believed from now on, when that changes.
    fn count(&mut self, good: bool, believed_healthy: bool, health: &Health) -> Option<bool> {
        if good == believed_healthy {
            self.0 = 0;
            return None;
        }
        self.0 += 1;
        let needed = if good { health.healthy } else { health.unhealthy };
        (self.0 >= needed).then(|| {
            self.0 = 0;
            good
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Clock, SystemClock},
        observe::metrics::Metrics,
        upstream::{PoolSettings, Probe},
    };

    const HEALTH: Health = Health {
        probe: Probe::Tcp,
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        healthy: 2,
        unhealthy: 3,
    };

    fn pool(host: &str) -> (Pool, ServerSettings) {
        let entry = ServerSettings { name: format!("{host}:80").into(), host: host.into(), port: 80, weight: 1 };
        let metrics = Metrics::new().unwrap().upstream("crm", &[]);
        (Pool::new(PoolSettings::new("crm", vec![entry.clone()]), metrics).unwrap(), entry)
    }

    fn addresses(pool: &Pool) -> Vec<String> {
        pool.servers().iter().map(|server| server.socket.to_string()).collect()
    }

    fn found(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn a_name_is_followed_and_what_stays_keeps_its_history() {
        let (pool, entry) = pool("crm.internal");
        assert!(named(&pool) == [entry.clone()] && addresses(&pool).is_empty());
        let mut was_found = true;
        take_over(&pool, &entry, Ok(found(&["10.0.0.1:80", "10.0.0.2:80", "[::1]:80"])), &mut was_found);
        assert_eq!(addresses(&pool), ["10.0.0.1:80", "10.0.0.2:80"], "IPv4 where there is any");
        let kept = pool.servers()[1].clone();
        kept.set_passes_probes(false, SystemClock.instant());
        take_over(&pool, &entry, Ok(found(&["10.0.0.3:80", "10.0.0.2:80"])), &mut was_found);
        assert_eq!(addresses(&pool), ["10.0.0.2:80", "10.0.0.3:80"]);
        assert!(kept.is_same(&pool.servers()[0]) && !pool.servers()[0].passes_probes());
        take_over(&pool, &entry, Ok(found(&["[::2]:80"])), &mut was_found);
        assert_eq!(addresses(&pool), ["[::2]:80"]);
    }

    #[test]
    fn a_look_up_that_fails_takes_nothing_away() {
        let (pool, entry) = pool("crm.internal");
        let mut was_found = true;
        take_over(&pool, &entry, Ok(found(&["10.0.0.1:80"])), &mut was_found);
        for answer in [Err(io::Error::other("no name server")), Ok(vec![])] {
            take_over(&pool, &entry, answer, &mut was_found);
            assert_eq!((addresses(&pool), was_found), (vec!["10.0.0.1:80".to_owned()], false));
        }
    }

    #[test]
    fn a_name_that_leads_to_the_gateway_itself_is_not_followed_there() {
        let (mut pool, entry) = pool("crm.internal");
        pool.settings.own = ["0.0.0.0:80".parse().unwrap(), "10.0.0.9:80".parse().unwrap()].into();
        let mut was_found = true;
        take_over(&pool, &entry, Ok(found(&["127.0.0.1:80"])), &mut was_found);
        assert_eq!((addresses(&pool), was_found), (vec![], false), "rather no server than the gateway");
        take_over(&pool, &entry, Ok(found(&["192.0.2.1:80", "10.0.0.9:80"])), &mut was_found);
        assert_eq!(addresses(&pool), ["192.0.2.1:80"]);
        take_over(&pool, &entry, Ok(found(&["10.0.0.9:80"])), &mut was_found);
        assert_eq!((addresses(&pool), was_found), (vec!["192.0.2.1:80".to_owned()], false), "as with any failure");
    }

    #[test]
    fn an_address_is_never_looked_up() {
        for host in ["10.0.0.1", "::1"] {
            let (pool, _) = pool(host);
            assert!(named(&pool).is_empty() && pool.servers().len() == 1, "{host}");
        }
    }

    #[test]
    fn probe_results_count_in_a_row_against_what_is_believed() {
        let (mut streak, mut healthy) = (ProbeStreak::default(), true);
        let mut seen = vec![];
        for good in [false, false, true, false, false, false, false, true, false, true, true, true] {
            healthy = streak.count(good, healthy, &HEALTH).unwrap_or(healthy);
            seen.push(healthy);
        }
        let expected = [true, true, true, true, true, false, false, false, false, false, true, true];
        assert_eq!(seen, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_tasks_of_a_pool_end_with_it() {
        let (pool, _) = pool("nowhere.invalid");
        let pool = Arc::new(pool);
        let checking = tokio::spawn(check(Arc::downgrade(&pool), HEALTH));
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(!checking.is_finished());
        drop(pool);
        checking.await.unwrap();
    }
}
