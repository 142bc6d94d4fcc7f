//! The civil clock against what the store has seen: a real gateway across restarts.

use crate::support::{Config, Contract, Database, Gateway, PATIENCE, Upstream, wait_until};

/// Three years in milliseconds, as SQL adds them.
const AHEAD: &str = "UPDATE clock SET reference = reference - 94608000000";
const BEHIND: &str = "UPDATE clock SET reference = reference + 94608000000";

impl Gateway {
    /// The body of the readiness, which is 200 whatever the clock says.
    fn readiness(&self) -> String {
        let answer = self.ask("/health/ready");
        assert_eq!(answer.status, 200);
        answer.text()
    }

    /// Ends it, moves the time that its store has seen, and starts it again.
    fn restarted_after(self, statement: &'static str) -> Self {
        let Self { process, folder, .. } = self;
        process.signal("TERM");
        process.finish();
        Database::in_folder(&folder).execute(statement);
        Self::run(folder)
    }
}

#[test]
fn a_start_with_a_clock_in_doubt_ends_nothing_until_an_operator_confirms_it() {
    let upstream = Upstream::start();
    let mut gateway = Config::standard(upstream.address).start();
    assert_eq!(gateway.readiness(), "ready\n");
    let (revoked, good) = (gateway.login(Contract::Sws), gateway.login(Contract::Sws));
    gateway.command("revoke token", &revoked).succeeded();
    gateway.wait_until_refused("it is refused", "/sws", &revoked);
    let ended =
        |gateway: &Gateway| Database::of(gateway).count("SELECT count(*) FROM revocations WHERE expires_at = 1000");

    for (statement, doubt) in [(AHEAD, "started_ahead"), (BEHIND, "started_behind")] {
        gateway = gateway.restarted_after(statement);
        let warning = "the civil clock is in doubt; nothing is pruned, wiped or retired, and no key is promoted";
        assert_eq!(gateway.process.event(warning)["doubt"], doubt);
        assert_eq!(gateway.readiness(), format!("ready\nclock in doubt: {doubt}\n"));
        let metrics = gateway.ask("/metrics").text();
        assert!(metrics.contains("portero_clock_trusted 0\n"), "{metrics}");
        assert_eq!((gateway.status("/sws", &revoked), gateway.status("/sws", &good)), (401, 200));
        let shown = gateway.command("clock show --output json", "").json();
        assert_eq!((&shown["doubt"], &shown["confirmed"]), (&doubt.into(), &false.into()));
        // Of a token that ended long ago, by the clock of now.
        Database::of(&gateway).execute(
            "INSERT INTO revocations (kind, subject, expires_at, created_at) VALUES ('token', randomblob(16), 1000, 1)",
        );
        let before = ended(&gateway);
        // A restart is no way out.
        gateway = gateway.kill_and_restart();
        assert_eq!(gateway.process.event(warning)["doubt"], doubt);
        assert_eq!(ended(&gateway), before, "nothing is pruned");

        let confirmed = gateway.command("clock confirm", "");
        confirmed.succeeded();
        assert!(confirmed.stdout.contains(doubt) && confirmed.stdout.contains("confirmed: "), "{}", confirmed.stdout);
        gateway.process.event("the civil clock is trusted again");
        wait_until("it is said", PATIENCE, || gateway.readiness() == "ready\n");
        wait_until("it is shown", PATIENCE, || gateway.ask("/metrics").text().contains("portero_clock_trusted 1\n"));
    }
    gateway = gateway.kill_and_restart();
    wait_until("what has ended is pruned", PATIENCE, || ended(&gateway) == 0);
    assert_eq!((gateway.status("/sws", &revoked), gateway.status("/sws", &good)), (401, 200));
}
