//! Which server of its pool a request goes to.

use std::{net::IpAddr, time::Instant};

use http::request::Parts;

use crate::{
    domain::TokenSubject,
    edge::forward::{
        exchange::{Exchange, Forward, Verdict},
        failure::Failure,
    },
    rules::limit::ClientKey,
    upstream::{ClientRoute, HashBy, hash_of},
};

impl Exchange {
    /// Acquires a server that the request was not tried at, and, the first time, a slot in the pool. Gives when it
    /// did.
    pub(in crate::edge::forward) async fn acquire_server(&mut self) -> Result<Instant, Failure> {
        let Verdict::Forward(permitted) = &self.verdict else { return Err(Failure::Internal) };
        let pool = &permitted.route.pool;
        if self.pool_slot.is_none() {
            let client = self.client.map_or(ClientKey::OPERATOR, ClientKey::of);
            self.pool_slot = pool.enter(client, self.time_left(&permitted.route)).await;
        }
        if self.pool_slot.is_none() {
            return Err(Failure::PoolFull);
        }
        self.tries += 1;
        if let Some(server_lease) = self.server_lease.take() {
            self.tried.push(server_lease.server().clone());
        }
        let key = |by: &HashBy| hash_key(by, permitted, &self.head, self.client);
        let now = self.shared().services.clock.instant();
        let server_lease = pool.pick(now, &self.tried, key);
        let mut server_lease = server_lease.ok_or(Failure::NoServer)?;
        // For telling one client's failures from a server's.
        server_lease.set_client_route(ClientRoute::of(address_hash(self.client) ^ permitted.route.id.rotate_left(32)));
        self.server_lease = Some(server_lease);
        Ok(now)
    }
}

/// What stands for the client in a hash. A subject of one issuer is not that of another.
fn hash_key(by: &HashBy, permitted: &Forward, head: &Parts, client: Option<IpAddr>) -> u64 {
    let subject = || {
        let claims = &permitted.identity.as_deref()?.claims;
        let id = match &claims.subject {
            TokenSubject::Account(id) | TokenSubject::Named(id) | TokenSubject::Imported { named: id, .. } => id.uuid(),
            TokenSubject::External(name) => return Some(hash_of(&[claims.realm.as_str().as_bytes(), name.as_bytes()])),
        };
        Some(hash_of(&[claims.realm.as_str().as_bytes(), id.as_bytes()]))
    };
    let key = match by {
        HashBy::Subject => subject(),
        HashBy::Address => None,
        HashBy::Header(name) => head.headers.get(name).map(|value| hash_of(&[value.as_bytes()])),
    };
    key.unwrap_or_else(|| address_hash(client))
}

fn address_hash(client: Option<IpAddr>) -> u64 {
    match client {
        Some(IpAddr::V4(address)) => hash_of(&[&address.octets()]),
        Some(IpAddr::V6(address)) => hash_of(&[&address.octets()]),
        None => 0,
    }
}
