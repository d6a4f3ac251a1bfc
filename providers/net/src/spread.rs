//! Many calls at once, within a bound, answered in the order they were asked.

use futures_util::stream::{self, Buffered, Collect, Iter, StreamExt as _};

/// Calls under way.
pub type Spread<F> = Collect<Buffered<Iter<std::vec::IntoIter<F>>>, Vec<<F as Future>::Output>>;

/// Runs the futures, at most `limit` of them at once; gives what they came to, in their order.
///
/// The type is spelled out so that it holds on to the futures alone, not to the iterator that made
/// them: an `async fn` of a trait object could not be sent to another thread else.
pub fn spread<F: Future>(limit: usize, calls: impl IntoIterator<Item = F>) -> Spread<F> {
    let calls: Vec<F> = calls.into_iter().collect();
    stream::iter(calls).buffered(limit.max(1)).collect()
}
