//! Turns, bounds, and what becomes of work whose client leaves.

use std::{
    sync::{
        Weak,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::Poll,
};

use rustix::process::getpriority_process;

use super::{queue::NICENESS, *};
use crate::{
    domain::{PrincipalId, SystemClock},
    state::account::Credentials,
};

const CLIENT: ClientKey = ClientKey::OPERATOR;

/// A wrong guess by a client.
async fn guess(hasher: &Hasher, client: ClientKey) -> Result<bool, HasherError> {
    let guessed = hasher.verify(client, "1234".into(), None, |verify| verify().matched.is_some(), future::pending());
    guessed.await.map(Option::unwrap)
}

fn client(last: u8) -> ClientKey {
    ClientKey::of([192, 0, 2, last].into())
}

fn hasher(queue_max: usize) -> Hasher {
    let settings = HasherSettings { threads: NonZeroUsize::MIN, queue_max };
    Hasher::start(settings, Arc::new(SystemClock), Arc::new(|_| {})).unwrap()
}

/// Keeps the only thread of `hasher` at work until the sender is dropped.
fn occupy(hasher: &Arc<Hasher>) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), HasherError>>) {
    let (hold, released) = mpsc::channel::<()>();
    let (started, running) = mpsc::channel();
    let working = Arc::clone(hasher);
    let task = tokio::spawn(async move {
        let work = move |_: &Shared| {
            started.send(()).unwrap();
            let _released = released.recv();
        };
        working.run(CLIENT, work).await
    });
    tokio::task::block_in_place(|| running.recv().unwrap());
    (hold, task)
}

#[tokio::test]
async fn its_threads_come_after_others() {
    let niceness = || getpriority_process(None).unwrap();
    let own = niceness();
    let hashing = hasher(1).run(CLIENT, move |_| niceness()).await.unwrap();
    assert_eq!(hashing, (own + NICENESS).min(19));
    assert_eq!(niceness(), own);
}

#[tokio::test]
async fn it_hashes_and_verifies() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let observer: Observer = Arc::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let hasher = Hasher::start(HasherSettings::default(), Arc::new(SystemClock), observer).unwrap();
    let previous = hasher.hash(CLIENT, "1234".into(), None).await.unwrap();
    let current = hasher.hash(CLIENT, "12345".into(), Some(previous.clone())).await.unwrap();
    let opened = || {
        let open = |hash: &PasswordHash| hash.open(PrincipalId::generate(), None).unwrap();
        let (first, second) = (open(&current), open(&previous));
        Credentials { current: current.clone(), previous: Some(previous.clone()) }.opened(first, Some(second))
    };
    let verify = async |password: &str, credentials| {
        let verified =
            hasher.verify(CLIENT, password.into(), credentials, |verify| verify().matched, future::pending());
        verified.await.unwrap().unwrap()
    };
    assert_eq!(verify("12345", Some(opened())).await, Some(Matched::Current));
    assert_eq!(verify("1234", Some(opened())).await, Some(Matched::Previous));
    assert_eq!(verify("4321", Some(opened())).await, None);
    assert_eq!(verify("1234", None).await, None);
    let too_long = "x".repeat(password::PASSWORD_BYTES_MAX + 1);
    assert_eq!(verify(&too_long, Some(opened())).await, None, "not hashed at all");
    assert_eq!(hasher.hash(CLIENT, "".into(), None).await, Err(HasherError::Refused(PasswordError::Empty)));
    assert_eq!(seen.load(Ordering::Relaxed), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_answers_at_once() {
    let hasher = Arc::new(hasher(1));
    let (hold, occupied) = occupy(&hasher);
    let waiting = Arc::clone(&hasher);
    let mut waits = Box::pin(async move { guess(&waiting, CLIENT).await });
    assert!(futures_poll(&mut waits).is_pending());
    assert_eq!(hasher.queue_len(), 1);
    assert_eq!(guess(&hasher, CLIENT).await, Err(HasherError::Busy));
    drop(hold);
    occupied.await.unwrap().unwrap();
    assert_eq!(waits.await, Ok(false));
    assert_eq!(hasher.queue_len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_hashed_for_who_has_gone() {
    let hasher = Arc::new(hasher(8));
    let (hold, occupied) = occupy(&hasher);
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    let mut gone = Box::pin(hasher.run(CLIENT, move |_| count.fetch_add(1, Ordering::Relaxed)));
    assert!(futures_poll(&mut gone).is_pending());
    drop(gone);
    assert_eq!(hasher.queue_len(), 0, "its place is free at once");
    drop(hold);
    occupied.await.unwrap().unwrap();
    hasher.run(CLIENT, |_| ()).await.unwrap();
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_has_begun_is_answered_although_its_client_has_left() {
    let hasher = Arc::new(hasher(8));
    let (hold, occupied) = occupy(&hasher);
    let mut queued = Box::pin(hasher.run_unless(future::ready(()), CLIENT, |_| 7));
    assert_eq!(futures_poll(&mut queued), Poll::Ready(Ok(None)), "it was not its turn");
    assert_eq!(hasher.queue_len(), 0);
    drop(hold);
    occupied.await.unwrap().unwrap();

    let (hold, released) = mpsc::channel::<()>();
    let (started, running) = mpsc::channel();
    let work = move |_: &Shared| {
        started.send(()).unwrap();
        let _released = released.recv();
        7
    };
    let (waits, gone) = oneshot::channel::<()>();
    let mut begun = Box::pin(hasher.run_unless(async { drop(gone.await) }, CLIENT, work));
    assert!(futures_poll(&mut begun).is_pending());
    tokio::task::block_in_place(|| running.recv().unwrap());
    drop(waits);
    assert!(futures_poll(&mut begun).is_pending(), "it is brought to its end");
    drop(hold);
    assert_eq!(begun.await, Ok(Some(7)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_floods_the_queue_waits_behind_everybody_else() {
    let hasher = Arc::new(hasher(8));
    let (hold, occupied) = occupy(&hasher);
    let order = Arc::new(Mutex::new(vec![]));
    let ask = |who: u8| {
        let (hasher, order) = (Arc::clone(&hasher), Arc::clone(&order));
        Box::pin(async move { hasher.run(client(who), move |_| order.lock().unwrap().push(who)).await })
    };
    let mut flood: Vec<_> = (0..8).map(|_| ask(1)).collect();
    assert!(flood.iter_mut().all(|asked| futures_poll(asked).is_pending()));
    assert_eq!(ask(1).await, Err(HasherError::Busy));
    let mut others = [ask(2), ask(3)];
    assert!(others.iter_mut().all(|asked| futures_poll(asked).is_pending()), "room is made for them");
    assert_eq!(flood.pop().unwrap().await, Err(HasherError::Busy));
    assert_eq!(flood.pop().unwrap().await, Err(HasherError::Busy));
    drop(hold);
    occupied.await.unwrap().unwrap();
    for asked in flood.into_iter().chain(others) {
        asked.await.unwrap();
    }
    assert_eq!(order.lock().unwrap()[..3], [1, 2, 3]);
}

#[tokio::test]
async fn a_panic_fails_one_job_only() {
    let hasher = hasher(8);
    assert_eq!(hasher.run(CLIENT, |_| panic!("one job's")).await, Err::<(), _>(HasherError::Failed));
    assert_eq!(hasher.run(CLIENT, |_| 7).await, Ok(7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_it_ends_its_threads() {
    let hasher = hasher(8);
    let shared: Weak<Shared> = Arc::downgrade(&hasher.shared);
    hasher.run(CLIENT, |_| ()).await.unwrap();
    drop(hasher);
    while shared.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
}

fn futures_poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut context)
}
