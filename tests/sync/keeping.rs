//! What is replaced where no history keeps it and nobody else does: the other side's history is asked, and
//! what it does not have is not replaced. And a history that cannot be asked at the moment.

use std::sync::Arc;

use secrets::apply::Keeper;
use secrets::exit::{Exit, Failure};
use secrets::plan::{Action, Direction, Rules, Side, Why};
use secrets_api::{
    Capabilities, Change, Ctx, Error, ErrorKind, Meta, Name, Provider, ProviderExt as _, Result,
    Revision, Unit, Written, async_trait,
};
use secrets_memory::Memory;
use secrets_testkit::bend::{Bend, Bent};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;
use secrets_testkit::servers::OpenBao;
use serde_json::json;

use crate::support::{Clerk, Ends, Machine, Ran, bare, change, cx, layered, name, sync, value};

fn nobody() -> Keeper {
    Keeper::Nobody(Failure::new(Exit::Failed, "there is none"))
}

async fn put(store: &dyn Provider, text: &str) {
    change(store, "KEY", Some(text)).await;
}

async fn push(machine: &Machine, ends: &Ends, keeper: Keeper) -> Ran {
    let rules = Rules {
        direction: Direction::To(Side::Right),
        ..Rules::default()
    };
    sync(machine, ends, rules, keeper, &mut Clerk::leaving()).await
}

/// A store that keeps no history, as a `.env` does not.
fn forgetful() -> Arc<dyn Provider> {
    layered(Arc::new(Memory::new(Capabilities {
        history: false,
        prune: false,
        restore: false,
        ..Memory::CAPABILITIES
    })))
}

#[test]
fn a_value_that_the_other_sides_history_has_let_go_is_not_replaced() {
    let server = OpenBao::start();
    let opening = TestOpening::new().with_variables([
        ("BAO_ADDR", server.address()),
        ("BAO_TOKEN", "root-token-of-the-tests"),
    ]);
    for (path, layout, versions) in [
        ("short", "", 1),
        ("long", "", 10),
        ("shorts", "?layout=each", 1),
        ("longs", "?layout=each", 10),
    ] {
        let secret = if layout.is_empty() {
            path.to_owned()
        } else {
            format!("{path}/KEY")
        };
        let most = json!({ "max_versions": versions });
        server
            .admin()
            .ok("POST", &format!("secret/metadata/{secret}"), &most);
        let label = format!("vault:secret/{path}{layout}");
        let vault = layered(bare(&opening, &label));
        let mirror = forgetful();
        let ends = Ends::new(
            (label.as_str(), Arc::clone(&vault)),
            ("memory:mirror", Arc::clone(&mirror)),
        );
        let machine = Machine::new(1);
        block_on(async {
            put(&*vault, "v2").await;
            assert!(push(&machine, &ends, nobody()).await.is_clean());
            put(&*vault, "v3").await;
            let ran = push(&machine, &ends, nobody()).await;
            let held = mirror.read_one(&cx(), &name("KEY")).await.unwrap();
            let held = held.into_found().unwrap().value;
            if versions == 1 {
                let failure = ran.answer.unwrap_err();
                assert!(failure.message.contains("nothing was written"), "{failure}");
                assert!(held.same_as(&value("v2")), "{label}");
                // A word of a person's lets it go.
                let ran = push(&machine, &ends, Keeper::NotWanted).await;
                assert!(ran.is_clean(), "{ran:?}");
            } else {
                assert!(ran.is_clean(), "{label}: {ran:?}");
                assert!(held.same_as(&value("v3")), "{label}");
            }
        });
    }
}

/// A keeper whose disk is full.
struct Full;

#[async_trait]
impl Bend for Full {
    fn label(&self) -> &'static str {
        "Full"
    }

    async fn write(
        &self,
        _inner: &dyn Provider,
        _cx: &Ctx,
        _base: Option<&Revision>,
        _changes: &[Change<'_>],
    ) -> Result<Written> {
        let error = Error::new(ErrorKind::Unexpected, "no space is left on the device");
        Err(error.with_hint("make room"))
    }
}

#[test]
fn why_nobody_keeps_it_is_told_with_what_to_do_about_that() {
    let keeper = |hint: Option<&str>| {
        let why = Failure::new(Exit::Denied, "there is no identity");
        Keeper::Nobody(why.with_hint_opt(hint.map(str::to_owned)))
    };
    let full = || Keeper::Store {
        label: "memory:keeper".to_owned(),
        provider: Bent::new(Arc::new(Memory::new(Memory::CAPABILITIES)), Full),
    };
    let lose = "to lose what is replaced: --no-keep";
    for (keeper, why, exit, hint) in [
        (
            full(),
            "no space is left",
            Exit::Failed,
            format!("make room; {lose}"),
        ),
        (
            keeper(Some("log in")),
            "no identity",
            Exit::Denied,
            format!("log in; {lose}"),
        ),
        (keeper(None), "no identity", Exit::Denied, lose.to_owned()),
    ] {
        let (left, right) = (forgetful(), forgetful());
        let ends = Ends::new(
            ("memory:left", Arc::clone(&left)),
            ("memory:right", Arc::clone(&right)),
        );
        let machine = Machine::new(1);
        let failure = block_on(async {
            put(&*left, "old").await;
            assert!(push(&machine, &ends, Keeper::NotWanted).await.is_clean());
            put(&*left, "new").await;
            push(&machine, &ends, keeper).await.answer.unwrap_err()
        });
        assert!(failure.message.contains(why), "{failure}");
        assert_eq!((failure.exit, failure.hint), (exit, Some(hint)));
    }
}

/// A history that cannot be asked.
struct Silent(ErrorKind);

#[async_trait]
impl Bend for Silent {
    fn label(&self) -> &'static str {
        "Silent"
    }

    async fn history(&self, _: &dyn Provider, _: &Ctx, _: &Name) -> Result<Vec<Meta>> {
        Err(Error::new(self.0, "the history is not told"))
    }
}

/// A value may have been put back where its document has changed and nobody tells; whoever has to decide is
/// told that only if nobody will.
#[test]
fn a_history_that_cannot_be_asked_now_is_no_conflict_and_one_that_is_not_shown_is() {
    for (kind, passing) in [
        (ErrorKind::RateLimited, true),
        (ErrorKind::Unavailable, true),
        (ErrorKind::PermissionDenied, false),
    ] {
        let document = Memory::new(Capabilities {
            unit: Unit::Document,
            own_versions: false,
            ..Memory::CAPABILITIES
        });
        let told: Arc<dyn Provider> = Arc::new(document.clone());
        let other: Arc<dyn Provider> = forgetful();
        let ends = |left: Arc<dyn Provider>| {
            Ends::new(("memory:left", left), ("memory:right", Arc::clone(&other)))
        };
        let machine = Machine::new(1);
        let ran = block_on(async {
            put(&*told, "1").await;
            let all = ends(Arc::clone(&told));
            let clerk = &mut Clerk::leaving();
            let first = sync(&machine, &all, Rules::default(), Keeper::NotWanted, clerk).await;
            assert!(first.is_clean(), "{first:?}");
            // Its document moves on, and the other side has a new value.
            change(&*told, "BESIDE", Some("x")).await;
            put(&*other, "2").await;
            let silent = ends(Bent::new(Arc::clone(&told), Silent(kind)));
            sync(
                &machine,
                &silent,
                Rules::default(),
                Keeper::NotWanted,
                clerk,
            )
            .await
        });
        if passing {
            let failure = ran.failed.expect("the link fails");
            assert_eq!(failure.exit, Exit::Unavailable);
            assert!(ran.plan.steps.is_empty() && ran.outcomes.is_empty());
        } else {
            assert!(ran.failed.is_none());
            let conflict = Action::Conflict(Why::PutBack(Side::Left));
            assert!(
                ran.plan.steps.iter().any(|s| s.action == conflict),
                "{ran:?}"
            );
        }
    }
}
