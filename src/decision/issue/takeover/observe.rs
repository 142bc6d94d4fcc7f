//! A login that the old system answered: Portero's own response is compared with it, and a yes is learnt from. The
//! client has its response already. No session is written, no token lives, no throttle is touched.

use bytes::Bytes;
use http::Response;

use super::{Lead, learn::Taught, rejection};
use crate::{
    decision::issue::{
        caller::Caller,
        login::{Issue, TokenService, unavailable},
    },
    domain::{SessionId, Timestamp},
    rules::{
        contract::{ContractResponse, Login, Outcome, Rejection},
        limit::ClientKey,
        realm::Realm,
        verifier::{Comparison, Facts, Heard, Known, Learn, Mode, Verdict, compare, decide},
    },
    state::{
        account::{self, Account, PasswordHash},
        takeover::confirmation,
    },
};

/// A login that the old system answered.
pub struct Observed {
    /// What the client asked for, or why that could not be read.
    pub login: Result<Login, Rejection>,
    /// Whether the client's body had the contract's members and no others, and its query none that could be read for
    /// them: then the old system's yes is about exactly this name and secret.
    pub exact: bool,
    /// What the old system answered.
    pub response: Response<Bytes>,
}

/// A token that ended long ago: what is compared must not be of use to anybody.
const LONG_AGO: Timestamp = Timestamp::from_secs(1);

impl TokenService {
    /// Whether there is time for a comparison: logins come first.
    #[must_use]
    pub fn has_time(&self) -> bool {
        self.hasher.queue_len() == 0
    }

    /// Compares, and learns from a yes.
    pub async fn observe(&self, realm: &Realm, observed: Observed, caller: &Caller, lead: Lead<'_>) {
        let compared = self.compare(realm, observed, caller, lead).await;
        let Ok((word, comparison)) = compared else {
            lead.verifier.metrics.compared("failed");
            return;
        };
        lead.verifier.metrics.compared(word);
        self.count_login(lead, Mode::Observe, word);
        let differences = comparison.map(|comparison| comparison.differences.join(", ")).unwrap_or_default();
        tracing::info!(realm = %realm.name, verifier = &*lead.verifier.settings.name, outcome = word, differences, "a login was observed");
    }

    async fn compare(
        &self,
        realm: &Realm,
        observed: Observed,
        caller: &Caller,
        lead: Lead<'_>,
    ) -> Result<(&'static str, Option<Comparison>), Rejection> {
        let Observed { login, exact, response } = observed;
        let contract = realm.dialect.contract();
        let with = |ours: &ContractResponse| {
            compare((response.status().as_u16(), response.body()), (ours.status.as_u16(), &ours.body))
        };
        let refusal = |rejection: &Rejection| {
            let comparison = with(&contract.write(&Outcome::Rejected(rejection), &realm.wire));
            (comparison.outcome, Some(comparison))
        };
        let login = match login {
            Ok(login) => login,
            Err(rejection) => return Ok(refusal(&rejection)),
        };
        let verdict = lead.verifier.judge(&realm.dialect, &login.name, &response);
        let (heard, facts) = match verdict {
            Verdict::Yes(facts) => (Heard::Yes, Some(facts)),
            Verdict::No(refused) => (Heard::No(refused), None),
            Verdict::Unclear(_) => return Ok(("unclear", None)),
        };
        let name = facts.as_ref().map_or(&login.name, |facts| &facts.name);
        let account = account::find(&self.store, &realm.name, name).await;
        let account = account.map_err(|error| unavailable(&error))?;
        if account.is_some() || heard != Heard::Yes {
            caller.identify(account.as_ref().map(|account| account.id));
        }
        let (known, hash) = self.knows(&login, account.as_ref()).await?;
        let step = decide(&lead.takeover.settings.policy, known, heard, self.clock.now());
        let word = match (heard, account, hash) {
            (Heard::Yes, Some(account), Some(hash)) if step.learn == Learn::Confirm => {
                if exact && lead.verifier.prove(&realm.dialect, caller.address(), &*self.clock).await {
                    self.confirm(account.id, &hash, known.confirmed_at, lead.verifier).await?;
                }
                let comparison = match self.rehearse(realm, account, &login).await {
                    Ok(ours) => with(&ours),
                    Err(rejection) => return Ok(refusal(&rejection)),
                };
                return Ok((comparison.outcome, Some(comparison)));
            }
            (Heard::Yes, account, _) => match facts {
                Some(facts) if exact => self.learn_observed(realm, account, (&login, &facts), caller, lead).await?,
                // What else its bytes say, the old system may have read.
                _ => "not_learnt",
            },
            (Heard::No(_), Some(account), Some(hash)) if step.distrust => {
                if exact && lead.verifier.prove(&realm.dialect, caller.address(), &*self.clock).await {
                    self.distrust(account.id, &hash, lead.verifier).await?;
                }
                "portero_allows"
            }
            (Heard::No(refused), ..) => return Ok(refusal(&rejection(realm, refused))),
            (Heard::Away | Heard::NotAsked, ..) => "unclear",
        };
        Ok((word, None))
    }

    /// Learns a secret, once the old system is believed.
    async fn learn_observed(
        &self,
        realm: &Realm,
        account: Option<Account>,
        (login, facts): (&Login, &Facts),
        caller: &Caller,
        lead: Lead<'_>,
    ) -> Result<&'static str, Rejection> {
        if !lead.verifier.prove(&realm.dialect, caller.address(), &*self.clock).await {
            return Ok("not_believed");
        }
        let taught = Taught {
            realm,
            facts,
            secret: &login.secret,
            client: ClientKey::OPERATOR,
            verifier: lead.verifier,
            defaults: &lead.takeover.settings.new_accounts,
        };
        let account = Box::pin(self.learn(account, &taught)).await?;
        caller.identify(Some(account.id));
        Ok("learnt")
    }

    /// What Portero knows of a login, without any throttle, and the hash that its secret matches.
    async fn knows(
        &self,
        login: &Login,
        account: Option<&Account>,
    ) -> Result<(Known, Option<PasswordHash>), Rejection> {
        let Some(account) = account else { return Ok((Known::default(), None)) };
        let hash = self.held(account, &login.secret, ClientKey::OPERATOR).await?;
        let found = confirmation::find(&self.store, account.id).await;
        let found = found.map_err(|error| unavailable(&error))?;
        let confirmed_at = found.zip(hash.as_ref()).and_then(|(found, hash)| found.of(hash));
        Ok((Known { exists: true, right: hash.is_some(), confirmed_at }, hash))
    }

    /// The response that Portero would have given. Its tokens ended long ago, and belong to a session that nobody wrote
    /// down.
    async fn rehearse(&self, realm: &Realm, account: Account, login: &Login) -> Result<ContractResponse, Rejection> {
        let account = self.admit(realm, account).await?;
        let issue = Issue {
            holder: account.holder(),
            epoch: account.epoch,
            session: SessionId::generate(),
            kinds: realm.dialect.token_kinds(),
            validity: login.validity,
            now: LONG_AGO,
        };
        let grant = self.issue_until(realm, issue, |_| Some(LONG_AGO))?;
        Ok(realm.dialect.contract().write(&Outcome::Granted(&grant), &realm.wire))
    }
}
