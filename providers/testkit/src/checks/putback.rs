//! What tells a value that was put back from one that was never touched: its version, or the revisions
//! of the document that held it.

use secrets_api::{Meta, Name, Op, Precondition, REVISION, Revision, Select};

use crate::stage::{Handle, Outcome, Stage, ensure, name, value};

pub(super) fn a_value_put_back_has_another_version_only_where_versions_are_own(
    stage: &Stage<'_>,
) -> Outcome {
    let a = name("A");
    let store = stage.open();
    let told = |what: &str| -> Outcome<_> {
        store.put(&a, &value(what))?;
        let snapshot = stage.open().read(Select::Names(std::slice::from_ref(&a)))?;
        let mut items = snapshot.items.into_iter();
        let lookup = items.next().map(|(_, lookup)| lookup).transpose()?;
        let stored = lookup.and_then(secrets_api::Lookup::into_found);
        ensure!(stored.is_some(), "what was written is not there");
        Ok(stored.and_then(|stored| stored.meta.version))
    };
    let first = told("first")?;
    let second = told("second")?;
    let back = told("first")?;
    store.change(&a, Op::Delete, Precondition::Unguarded)?;
    let again = told("first")?;
    if !stage.can.own_versions {
        ensure!(
            first == back && back == again,
            "a value that was put back has another version"
        );
        return Ok(());
    }
    let all = [&first, &second, &back, &again];
    ensure!(
        all.iter().all(|version| version.is_some()),
        "a read told no version"
    );
    ensure!(
        first != back,
        "a value that was put back has the version it had"
    );
    ensure!(
        first != again && back != again,
        "a value that was put back after its deletion has a version it had"
    );
    Ok(())
}

/// Puts it there; the document's revision after that.
fn put(store: &Handle, name: &Name, text: &str) -> Outcome<Revision> {
    store.put(name, &value(text))?;
    store.revision()
}

/// Whether the state is labelled with this revision.
fn bears(meta: Option<&Meta>, revision: &Revision) -> bool {
    let is_it =
        |(key, value): &(String, String)| key == REVISION && value.as_str() == revision.as_str();
    meta.is_some_and(|meta| meta.tags.iter().any(is_it))
}

pub(super) fn a_history_labels_each_state_with_all_revisions_that_held_it(
    stage: &Stage<'_>,
) -> Outcome {
    let (a, b) = (name("A"), name("B"));
    let store = stage.open();
    let before = put(&store, &b, "1")?;
    let made = put(&store, &a, "first")?;
    let beside = put(&store, &b, "2")?;
    let history = stage.open().history(&a)?;
    let state = history.first();
    ensure!(
        history.len() == 1,
        "1 state and {} in the history",
        history.len()
    );
    ensure!(
        bears(state, &beside),
        "the newest state does not bear the present revision"
    );
    ensure!(
        bears(state, &made),
        "a state does not bear the revision it came with"
    );
    ensure!(
        !bears(state, &before),
        "a state bears a revision from before it"
    );
    store.delete(&a)?;
    let gone = store.revision()?;
    let history = stage.open().history(&a)?;
    let (held, deleted): (Vec<_>, Vec<_>) = history.iter().partition(|meta| !meta.deleted);
    ensure!(held.len() == 1, "a deletion changed the states before it");
    let held = held.first().copied();
    ensure!(
        bears(held, &made) && bears(held, &beside) && !bears(held, &gone),
        "what was deleted does not bear the revisions that held it, and no other"
    );
    ensure!(
        bears(deleted.first().copied(), &gone),
        "a deletion does not bear the revision it came with"
    );
    Ok(())
}

pub(super) fn a_value_put_back_bears_no_revision_of_its_earlier_state(
    stage: &Stage<'_>,
) -> Outcome {
    let (a, b) = (name("A"), name("B"));
    let store = stage.open();
    let first = put(&store, &a, "first")?;
    let second = put(&store, &a, "second")?;
    let back = put(&store, &a, "first")?;
    store.delete(&a)?;
    let again = put(&store, &a, "first")?;
    let beside = put(&store, &b, "b")?;
    let history = stage.open().history(&a)?;
    let told: Vec<_> = history.iter().filter(|meta| !meta.deleted).collect();
    ensure!(
        told.len() == 4,
        "4 states and {} in the history",
        told.len()
    );
    let borne: [&[&Revision]; 4] = [&[&beside, &again], &[&back], &[&second], &[&first]];
    for (n, state) in told.iter().enumerate() {
        for (m, revisions) in borne.iter().enumerate() {
            for revision in *revisions {
                ensure!(
                    bears(Some(state), revision) == (n == m),
                    "state {n} from the newest and a revision of state {m}: {}",
                    if n == m { "not borne" } else { "borne" }
                );
            }
        }
    }
    Ok(())
}
