//! What few requests need, out of the way of what all of them do.

use std::pin::Pin;

/// A future that few requests await, with its code and its room on the stack outside of those of the function that
/// awaits it. Otherwise both would be part of it: a function that each request goes through would take many kilobytes
/// of the stack, of which it uses few bytes here and there, and more of the processor's caches than there is.
///
/// It is made in place by `make`, for one allocation.
#[cold]
#[inline(never)]
pub(crate) fn aside<'f, F>(make: impl FnOnce() -> F) -> Pin<Box<dyn Future<Output = F::Output> + Send + 'f>>
where
    F: Future + Send + 'f,
{
    Box::pin(make())
}
