//! What a gateway does while it serves, one thing after another: signals, changed files, the operator's
//! orders; and how it ends.

use std::time::Duration;

use tokio::sync::watch::Sender;

use super::{Control, Gateway, Program, Sockets, StartError, notice, reload::Reloader, watch::Watch};
use crate::{edge::admin::Order, state::store::Actor};

/// Why a gateway ends by itself.
const NOT_FOLLOWED: &str = "what other processes revoke is not seen any more; start the gateway again";

/// How long the store may take to be followed no more, and closed: a call that hangs is not waited for.
const STORE_GRACE: Duration = Duration::from_secs(6);

/// How long connections may take to end once the drain timeout is over and what was in flight on them is cut off.
const CUT_OFF_GRACE: Duration = Duration::from_millis(500);

/// How long the admin listener may take to end its last answers.
const ADMIN_GRACE: Duration = Duration::from_secs(1);

/// How long a gateway that stops waits for the next request of an idle connection: one may be on its way.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// The part of the drain timeout for which one that has a successor waits: nothing hurries it.
const IDLE_GRACE_AFTER_UPGRADE: f64 = 0.8;

impl Gateway {
    /// Serves until SIGTERM or SIGINT, or until another process has taken over, then lets requests in flight end.
    /// SIGHUP reloads the config, and SIGUSR1 opens the audit file anew. `program` is what an upgrade starts; without
    /// it there is none.
    ///
    /// # Errors
    /// Fails when this process can no longer follow the store: it would not see what other processes revoke.
    pub fn run(mut self, program: Option<&Program>) -> Result<(), StartError> {
        let listen = self.front.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let (pid, succeeds) = (std::process::id(), self.succeeds);
        tracing::info!(listen, admin = %self.admin, version = env!("CARGO_PKG_VERSION"), pid, succeeds, "listening");
        let Self { control, tasks, reloader, watch, orders, sockets, stop_admin, audit, .. } = &mut self;
        let Control { runtime, signals } = control;
        let end = runtime.block_on(async {
            loop {
                // What is asked is done one after another.
                let order = tokio::select! {
                    _ = signals.terminate.recv() => return End::Asked,
                    _ = signals.interrupt.recv() => return End::Asked,
                    // Blind to revocations it must not go on as if it saw them.
                    _ = &mut tasks.following => return End::Failed(StartError::System(NOT_FOLLOWED.to_owned())),
                    _ = signals.user_defined.recv() => {
                        audit.reopen();
                        continue;
                    }
                    _ = signals.hang_up.recv() => Asked::Reload,
                    () = watch.changed() => Asked::ReloadIfChanged,
                    // None comes any more once the admin listener has ended.
                    Some(order) = orders.recv() => Asked::Ordered(order),
                };
                tokio::select! {
                    _ = signals.terminate.recv() => return End::Asked,
                    _ = signals.interrupt.recv() => return End::Asked,
                    done = carry_out(order, reloader, watch, program, sockets, stop_admin) => if let Some(end) = done {
                        return end;
                    },
                }
            }
        });
        self.stop(&end);
        if let End::Failed(error) = end { Err(error) } else { Ok(()) }
    }

    /// Stops: not ready at once; no new connections after the drain delay; requests in flight end within the drain
    /// timeout.
    fn stop(mut self, end: &End) {
        let succeeded = matches!(end, End::Succeeded);
        tracing::info!(succeeded, "draining");
        let drain_timeout = self.reloader.drain_timeout;
        if succeeded {
            // Connections have time to find the successor.
            self.reloader.shared.set_idle_grace(drain_timeout.mul_f64(IDLE_GRACE_AFTER_UPGRADE));
        } else {
            notice::stopping();
            self.reloader.shared.set_idle_grace(IDLE_GRACE.min(drain_timeout / 2));
        }
        self.readiness.set_draining();
        if matches!(end, End::Asked) {
            self.serve_until_seen();
        }
        // Ours must not keep a queue open from which nobody accepts, nor orders wait for nobody.
        drop((self.sockets, self.orders));
        // An error means that they have ended already.
        let _ = self.stop_front.send(true);
        let mut serving = self.serving;
        let drained = self.control.block_on(async { tokio::time::timeout(drain_timeout, &mut serving).await });
        if drained.is_err() {
            self.reloader.shared.set_drain_over();
            tracing::warn!(?drain_timeout, "requests were still in flight when the drain timeout was over");
            // Each connection ends so that nothing that is cut off looks whole.
            let _ = self.control.block_on(async { tokio::time::timeout(CUT_OFF_GRACE, serving).await });
        }
        self.acceptor.shutdown_background();
        let _ = self.stop_admin.send(true);
        // Neither ends the process later: who is not done by then has had the time.
        let _ = self.control.block_on(async { tokio::time::timeout(ADMIN_GRACE, self.operating).await });
        let _ = self.stop_rest.send(true);
        self.operator.shutdown_background();
        // The last process on the store leaves one whole file: what is acknowledged is in it, and not in a journal.
        let tasks = self.tasks;
        let store = self.reloader.store.clone();
        let closed = self.control.block_on(async {
            tokio::time::timeout(STORE_GRACE, async {
                tasks.end().await;
                store.close().await;
            })
            .await
        });
        if closed.is_err() || store.trouble().is_some() {
            tracing::warn!("the store could not be closed; its journal (-wal) belongs to it until the next start");
        }
        self.control.runtime.shutdown_timeout(ADMIN_GRACE);
        tracing::info!("stopped");
        self.lines.flush();
    }

    /// Serves on for the drain delay, in which a balancer sees that this gateway is not ready: connections that wait in
    /// a listener's queue are reset when it closes. Being asked again ends the delay, and so does a store that is not
    /// followed.
    fn serve_until_seen(&mut self) {
        self.orders.close();
        let delay = self.reloader.drain_delay;
        let (Control { runtime, signals }, following) = (&mut self.control, &mut self.tasks.following);
        runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                _ = signals.terminate.recv() => {}
                _ = signals.interrupt.recv() => {}
                _ = following => {}
            }
        });
    }
}

/// Why a gateway stops.
enum End {
    /// It was asked to.
    Asked,
    /// Another process has taken over.
    Succeeded,
    /// It cannot go on.
    Failed(StartError),
}

/// What a gateway is asked while it serves.
enum Asked {
    Reload,
    ReloadIfChanged,
    Ordered(Order),
}

/// Does it; answers whether the gateway ends by it.
async fn carry_out(
    asked: Asked,
    reloader: &mut Reloader,
    watch: &mut Watch,
    program: Option<&Program>,
    sockets: &Sockets,
    stop_admin: &Sender<bool>,
) -> Option<End> {
    match asked {
        // The log says what came of it.
        Asked::Reload => drop(reloader.reload(watch, Actor::gateway("SIGHUP")).await),
        Asked::ReloadIfChanged => reloader.reload_if_changed(watch).await,
        Asked::Ordered(Order::Reload { actor, outcome }) => {
            let taken = reloader.reload(watch, actor).await;
            // The one that asked may have gone.
            let _ = outcome.send(taken.map_err(|error| error.to_string()));
        }
        Asked::Ordered(Order::Upgrade { patience, outcome, alone }) => {
            tracing::info!("handing over to a new process");
            let successor = match program {
                Some(program) => program.hand_over(sockets, patience).await,
                None => Err("a demo has no upgrade; start it again".to_owned()),
            };
            match &successor {
                Ok(pid) => {
                    tracing::info!(pid, "handed over");
                    notice::handed_over(*pid);
                }
                Err(why) => {
                    // The one that hears of it may ask for the next at once.
                    drop(alone);
                    for problem in why.lines() {
                        tracing::error!(problem, "not handed over; this process serves on");
                    }
                }
            }
            let succeeded = successor.is_ok();
            if succeeded {
                // Operators are answered by the successor from before anybody is told of it.
                let _ = stop_admin.send(true);
            }
            let _ = outcome.send(successor);
            return succeeded.then_some(End::Succeeded);
        }
    }
    None
}
