//! Request bodies on their way to servers of HTTP/2: each ends with its exchange.
//!
//! hyper has a task for each body that its server does not take at once. It waits for the server as long as the
//! connection lasts, also where the response is over: the body, its client's connection and the stream would be held
//! meanwhile.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
};

use hyper::rt::Executor;

use super::progress::Progress;

/// Runs hyper's tasks for a connection to a server.
#[derive(Clone, Debug, Default)]
pub(in crate::edge::forward) struct PipeExecutor(Arc<Mutex<Option<Arc<Progress>>>>);

impl PipeExecutor {
    /// A body is read for the first time. hyper 1.12 does so when it takes the request, and in the same call it has a
    /// task for the rest of the body run, if it needs one: nothing of another request comes between.
    pub(in crate::edge::forward) fn begins(&self, progress: &Arc<Progress>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(progress));
    }
}

impl<F> Executor<F> for PipeExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let begun = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(progress) = begun else {
            tokio::spawn(task);
            return;
        };
        tokio::spawn(async move {
            // With the task dropped, and the response, the stream is reset. Where the body was taken at once, the task
            // is that which waits for the response: it ends with the exchange in any case.
            let mut task = pin!(task);
            poll_fn(|cx| if progress.poll_cancelled(cx).is_ready() { Poll::Ready(()) } else { task.as_mut().poll(cx) })
                .await;
        });
    }
}
