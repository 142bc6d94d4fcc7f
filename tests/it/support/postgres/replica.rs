//! A second server that follows the first.

use std::path::Path;

use super::{
    super::{PATIENCE, wait_until},
    Link, PASSWORD, Postgres,
    programs::Medium,
    template,
};

/// Whether a commit waits for the replica.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Replication {
    /// It does not: what the primary committed last may be missing on the replica.
    Asynchronous,
    /// It does: a commit is on both, and hangs while the replica is out of reach.
    Synchronous,
}

/// A hot standby with a port of its own: it answers queries and refuses to write, until it is promoted.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) server: Postgres,
    /// The network between it and the primary.
    pub(crate) link: Link,
}

impl Postgres {
    /// A replica of this server, which it follows already.
    pub(crate) fn replica(&self, replication: Replication) -> Replica {
        let (server, link) = (Self::prepare(Medium::Memory), Link::to(self));
        self.back_up_to(&server);
        let (name, port) = (format!("replica_{}", server.port()), link.port());
        server.append(
            "data/postgresql.auto.conf",
            &format!(
                "primary_conninfo = 'host=127.0.0.1 port={port} user=postgres password={PASSWORD} \
                 application_name={name}'\n"
            ),
        );
        server.append("data/standby.signal", "");
        server.start_again();
        if matches!(replication, Replication::Synchronous) {
            self.set("synchronous_standby_names", &name);
        }
        let state = match replication {
            Replication::Asynchronous => "async",
            Replication::Synchronous => "sync",
        };
        let follows = format!(
            "SELECT count(*) FROM pg_stat_replication \
             WHERE application_name = '{name}' AND state = 'streaming' AND sync_state = '{state}'"
        );
        wait_until("the replica follows", PATIENCE, || self.count(&follows) == 1);
        Replica { server, link }
    }

    /// A base backup. PostgreSQL has a program for it, which not every package of binaries has.
    fn back_up_to(&self, other: &Self) {
        // The log comes from the primary; the rest says which process uses the folder.
        let (log, pid) = (Path::new("pg_wal"), Path::new("postmaster.pid"));
        let wanted = |path: &Path| path.parent() != Some(log) && path != pid;
        let label = self.sql.run(async |connection| {
            sqlx::query("SELECT pg_backup_start('replica', true)").execute(&mut *connection).await?;
            template::copy(&self.programs, &self.data(), &other.data(), wanted);
            sqlx::query_scalar::<_, String>("SELECT labelfile FROM pg_backup_stop(false)").fetch_one(connection).await
        });
        other.append("data/backup_label", &label.unwrap());
    }
}

impl Replica {
    /// Waits until it has all that the primary has committed.
    #[track_caller]
    pub(crate) fn wait_until_it_has_all_of(&self, primary: &Postgres) {
        let written = primary.text("SELECT pg_current_wal_lsn()::text");
        let lag = format!("SELECT greatest(0, '{written}'::pg_lsn - pg_last_wal_replay_lsn())::bigint");
        wait_until("the replica has everything", PATIENCE, || self.server.count(&lag) == 0);
    }

    /// Splits the network: the replica and the clients of these links lose the primary, which lives on for all others.
    /// No connection ends, and no byte comes through.
    pub(crate) fn isolate(&self, clients: &[&Link]) {
        for link in clients.iter().copied().chain([&self.link]) {
            link.drop_silently();
        }
    }

    /// Makes it a primary of its own, whatever the other one does.
    pub(crate) fn promote(self) -> Postgres {
        assert_eq!(self.server.text("SELECT pg_promote(true, 30)::text"), "true", "{}", self.server.log());
        self.server
    }
}
