//! A batch in a store of single secrets whose second try fails for all that was left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use secrets::layers::Layered;
use secrets::printer::Printer;
use secrets_api::{
    Change, Ctx, Error, ErrorKind, Op, Precondition, Provider, Result, Revision, Unit, Written,
    async_trait,
};
use secrets_memory::Memory;
use secrets_testkit::bend::{Bend, Bent};
use secrets_testkit::block_on;

use crate::support::{cx, name, value};

/// Makes the first change of the first call, and nothing after it.
struct LogsOutMidway(AtomicUsize);

#[async_trait]
impl Bend for LogsOutMidway {
    fn label(&self) -> &'static str {
        "LogsOutMidway"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        if self.0.fetch_add(1, Ordering::SeqCst) > 0 {
            return Err(Error::new(
                ErrorKind::Unauthenticated,
                "the token has expired",
            ));
        }
        let mut written = inner.write(cx, base, &changes[..1]).await?;
        let later = || Err(Error::new(ErrorKind::RateLimited, "later"));
        written.items.extend(changes[1..].iter().map(|_| later()));
        Ok(written)
    }
}

#[test]
fn what_was_made_stays_told_when_a_second_try_fails_for_the_rest() {
    let can = secrets_api::Capabilities {
        unit: Unit::Secret,
        ..Memory::CAPABILITIES
    };
    let store = Bent::new(
        Arc::new(Memory::new(can)),
        LogsOutMidway(AtomicUsize::new(0)),
    );
    let layered = Layered::new(store, Arc::new(Printer::bare()), Duration::from_secs(10));
    let (names, new) = (["A", "B", "C"].map(name), value("new"));
    let changes = names.each_ref().map(|name| Change {
        name,
        op: Op::Put(&new),
        when: Precondition::Absent,
    });
    let written = block_on(layered.write(&cx(), None, &changes)).unwrap();
    let kinds: Vec<_> = written
        .items
        .iter()
        .map(|i| i.as_ref().err().map(Error::kind))
        .collect();
    let left = Some(ErrorKind::Unauthenticated);
    assert_eq!(kinds, [None, left, left]);
}
