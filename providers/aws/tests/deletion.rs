//! Guarded deletions that fail half-way while somebody else writes: what the other has written stays,
//! and what did not happen is not said to have. Against a real moto server.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use secrets_api::{Ctx, ErrorKind, Lookup, Op, Precondition, Result, Version};
use secrets_testkit::servers::Relay;
use secrets_testkit::web::{Fault, Harm, Reply, Request, Server};
use support::{Moto, Store, call, cx, fresh, store};

/// Our store by a network that fails, and somebody else's by one that does not; in it one secret.
struct Two {
    server: Server,
    ours: Store,
    theirs: Arc<Store>,
    first: Version,
}

impl Two {
    fn on(moto: &Moto) -> Self {
        let server = Server::plain(Relay::to(&moto.url()));
        let uri = format!("aws:{}?layout=each", fresh("two"));
        let ours = store(&server.url(), &uri);
        let first = ours.put("A", "1", Precondition::Absent).unwrap().unwrap();
        Self {
            theirs: Arc::new(store(&moto.url(), &uri)),
            server,
            ours,
            first,
        }
    }

    fn guard(&self) -> Precondition {
        Precondition::Version(self.first.clone())
    }

    fn delete(&self, cx: &Ctx, when: Precondition) -> Result<Option<Version>> {
        self.ours.change(cx, "A", Op::Delete, when)
    }

    /// Does this to a call, once.
    fn harm(&self, wanted: &'static str, harm: Harm) {
        let chosen = move |request: &Request| call(request) == wanted;
        self.server.inject(Fault::once(harm).only(chosen));
    }

    /// Just before our deletion arrives somebody else does this. Told after the harm to the deletion: what is
    /// told last comes first.
    fn meanwhile(&self, act: impl Fn(&Store) + Send + Sync + 'static) {
        let (theirs, done) = (Arc::clone(&self.theirs), AtomicBool::new(false));
        let chosen = move |request: &Request| {
            let now = call(request) == "DeleteSecret" && !done.swap(true, Ordering::SeqCst);
            if now {
                std::thread::scope(|scope| scope.spawn(|| act(&theirs)).join().unwrap());
            }
            false
        };
        let harm = Harm::Latency(std::time::Duration::ZERO);
        self.server.inject(Fault::always(harm).only(chosen));
    }

    /// A call that follows our deletion is answered so, once.
    fn afterwards(&self, wanted: &'static str, reply: Reply) {
        let deleted = AtomicBool::new(false);
        let chosen = move |request: &Request| {
            deleted.fetch_or(call(request) == "DeleteSecret", Ordering::SeqCst)
                && call(request) == wanted
        };
        let fault = Fault::once(Harm::Answer(reply)).only(chosen);
        self.server.inject(fault);
    }

    /// What they wrote is the present value.
    fn theirs_stands(&self) {
        assert_eq!(self.theirs.text("A").as_deref(), Some("theirs"));
    }
}

fn write(theirs: &Store) {
    theirs.put("A", "theirs", Precondition::Unguarded).unwrap();
}

fn busy() -> Reply {
    support::refusal(400, "ThrottlingException", "").with_header("retry-after", "1")
}

fn conflicts(answer: &Result<Option<Version>>) {
    let kind = answer.as_ref().unwrap_err().kind();
    assert_eq!(kind, ErrorKind::Conflict, "{answer:?}");
}

#[test]
fn a_repetition_makes_the_check_that_failed_after_the_deletion() {
    let moto = Moto::start();
    let two = Two::on(&moto);
    two.meanwhile(write);
    two.afterwards("DescribeSecret", busy());
    let operation = cx();
    let unfinished = two.delete(&operation, two.guard()).unwrap_err();
    assert_eq!(unfinished.kind(), ErrorKind::Unavailable);
    assert_eq!(
        unfinished.retry_after(),
        None,
        "it would say that nothing was done"
    );
    conflicts(&two.delete(&operation, two.guard()));
    two.theirs_stands();
}

#[test]
fn a_deletion_whose_answer_is_lost_is_looked_at_all_the_same() {
    let moto = Moto::start();
    let two = Two::on(&moto);
    two.harm("DeleteSecret", Harm::DropAfter);
    two.meanwhile(write);
    conflicts(&two.delete(&cx(), two.guard()));
    two.theirs_stands();

    let undisturbed = Two::on(&moto);
    undisturbed.harm("DeleteSecret", Harm::DropAfter);
    let deleted = undisturbed.delete(&cx(), undisturbed.guard());
    assert_eq!(deleted.unwrap(), None);

    let unsent = Two::on(&moto);
    unsent.harm("DeleteSecret", Harm::DropBefore);
    let lost = unsent.delete(&cx(), unsent.guard()).unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(unsent.ours.text("A").as_deref(), Some("1"));
}

#[test]
fn a_deletion_taken_back_with_its_answer_lost_is_not_left_to_a_read_back() {
    let moto = Moto::start();
    for harm in [Harm::DropBefore, Harm::DropAfter] {
        let two = Two::on(&moto);
        two.meanwhile(write);
        two.harm("RestoreSecret", harm);
        let operation = cx();
        let lost = two.delete(&operation, two.guard()).unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::Unavailable);
        conflicts(&two.delete(&operation, two.guard()));
        two.theirs_stands();
    }
}

#[test]
fn a_deletion_that_was_refused_is_not_taken_for_one_that_was_carried_out() {
    let moto = Moto::start();
    for mark_is_left in [false, true] {
        let two = Two::on(&moto);
        two.harm("DeleteSecret", Harm::Answer(busy()));
        if mark_is_left {
            two.afterwards("UpdateSecretVersionStage", busy());
        }
        let operation = cx();
        let refused = two.delete(&operation, two.guard()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::RateLimited);
        write(&two.theirs);
        conflicts(&two.delete(&operation, two.guard()));
        two.theirs_stands();
    }
    let two = Two::on(&moto);
    two.harm("DeleteSecret", Harm::Answer(busy()));
    let operation = cx();
    let refused = two.delete(&operation, Precondition::Unguarded).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::RateLimited);
    write(&two.theirs);
    let deleted = two.delete(&operation, Precondition::Unguarded);
    assert_eq!(deleted.unwrap(), None);
    assert!(matches!(two.theirs.look("A"), Ok(Lookup::Deleted { .. })));
}

#[test]
fn what_somebody_else_deleted_meanwhile_is_not_taken_back() {
    let moto = Moto::start();
    let two = Two::on(&moto);
    two.meanwhile(|theirs| {
        write(theirs);
        let deleted = theirs.change(&cx(), "A", Op::Delete, Precondition::Unguarded);
        deleted.unwrap();
    });
    conflicts(&two.delete(&cx(), two.guard()));
    assert!(matches!(two.theirs.look("A"), Ok(Lookup::Deleted { .. })));
}
