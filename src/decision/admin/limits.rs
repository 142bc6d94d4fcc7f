//! Restraints on logins: which are in force, and an end to them before their time.

use serde_json::json;

use super::service::{AdminError, AdminService};
use crate::state::{
    account,
    limit::{Exchange, Restrained, ThrottleStatus, Whom},
    store::Action,
};

/// What restrains logins, as one gateway knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The restraints in force, by kind.
    pub restrained: [Restrained; 3],
    /// The status of the name and of the address that were asked about.
    pub statuses: Vec<ThrottleStatus>,
    /// Whether what other gateways have counted is in it.
    pub shared: bool,
}

impl AdminService {
    /// The restraints in force, and the status of a name and of an address. Names are only kept as keyed hashes: the
    /// operator must say one.
    ///
    /// # Errors
    /// Fails where no gateway runs in this process.
    pub fn limits(&self, whom: Whom<'_>) -> Result<Limits, AdminError> {
        let throttles = self.throttles()?;
        let now = self.clock.now();
        let throttle = throttles.throttle();
        Ok(Limits {
            restrained: throttle.restrained(now),
            statuses: throttle.status(whom, now),
            shared: throttles.is_shared(),
        })
    }

    /// Ends what restrains a name at every address, and what restrains an address. It is in the store when this
    /// returns, and in force here; where gateways share what they count, in force everywhere after their next exchange.
    ///
    /// # Errors
    /// Fails where no gateway runs in this process, and when the store is out of reach.
    pub async fn clear_limits(&self, whom: Whom<'_>) -> Result<(), AdminError> {
        let throttles = self.throttles()?;
        let mut what = json!({ "address": whom.address.map(|address| address.to_string()) });
        if let Some((realm, name)) = whom.name {
            let found = account::find(&self.store, realm, name).await?;
            what["realm"] = realm.as_str().into();
            // A name without account is not written down: people type passwords there.
            what["account"] = found.map_or("unknown".to_owned(), |found| found.id.to_string()).into();
        }
        self.note(Action::LimitsClear, what).await?;
        throttles.throttle().clear(whom, self.clock.now());
        throttles.run_once().await?;
        Ok(())
    }

    fn throttles(&self) -> Result<&Exchange, AdminError> {
        let not_here = "restraints are in the memory of a running gateway: ask it over its admin API";
        self.throttles.as_ref().ok_or_else(|| AdminError::Refused(not_here.to_owned()))
    }
}
