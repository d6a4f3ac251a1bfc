//! Stores that answer other than is.

use secrets_api::{
    Change, Ctx, Cursor, Lookup, Meta, Name, Op, Poll, Precondition, Provider, Result, Select,
    Snapshot, Version, async_trait,
};

use crate::bend::Bend;

/// Alters all that was read.
pub struct AltersReads(pub fn(&mut Snapshot));

#[async_trait]
impl Bend for AltersReads {
    fn label(&self) -> &'static str {
        "AltersReads"
    }

    async fn read(&self, inner: &dyn Provider, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let mut snapshot = inner.read(cx, what).await?;
        (self.0)(&mut snapshot);
        Ok(snapshot)
    }
}

/// Alters all that was listed.
pub struct AltersLists(pub fn(&mut Vec<(Name, Meta)>));

#[async_trait]
impl Bend for AltersLists {
    fn label(&self) -> &'static str {
        "AltersLists"
    }

    async fn list(&self, inner: &dyn Provider, cx: &Ctx) -> Result<Vec<(Name, Meta)>> {
        let mut list = inner.list(cx).await?;
        (self.0)(&mut list);
        Ok(list)
    }
}

/// Lists what is deleted like what is there.
pub struct ListsWhatIsDeleted;

#[async_trait]
impl Bend for ListsWhatIsDeleted {
    fn label(&self) -> &'static str {
        "ListsWhatIsDeleted"
    }

    async fn list(&self, inner: &dyn Provider, cx: &Ctx) -> Result<Vec<(Name, Meta)>> {
        let mut list = inner.list(cx).await?;
        for text in ["A", "B"] {
            let name = Name::new(text).expect("it is a name");
            let listed = list.iter().any(|(listed, _)| *listed == name);
            if !listed && !inner.history(cx, &name).await?.is_empty() {
                list.push((name, Meta::default()));
            }
        }
        Ok(list)
    }
}

/// Alters histories.
pub struct AltersHistories(pub fn(&mut Vec<Meta>));

#[async_trait]
impl Bend for AltersHistories {
    fn label(&self) -> &'static str {
        "AltersHistories"
    }

    async fn history(&self, inner: &dyn Provider, cx: &Ctx, name: &Name) -> Result<Vec<Meta>> {
        let mut history = inner.history(cx, name).await?;
        (self.0)(&mut history);
        Ok(history)
    }
}

/// Answers for every version with the present state.
pub struct KnowsOnlyThePresent;

#[async_trait]
impl Bend for KnowsOnlyThePresent {
    fn label(&self) -> &'static str {
        "KnowsOnlyThePresent"
    }

    async fn read_version(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        name: &Name,
        _version: &Version,
    ) -> Result<Lookup> {
        let names = [name.clone()];
        let mut items = inner.read(cx, Select::Names(&names)).await?.items;
        items.pop().map_or(Ok(Lookup::Absent), |(_, lookup)| lookup)
    }
}

/// Says that it has forgotten, and has not.
pub struct PrunesNothing;

#[async_trait]
impl Bend for PrunesNothing {
    fn label(&self) -> &'static str {
        "PrunesNothing"
    }

    async fn prune(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        name: &Name,
        keep: usize,
    ) -> Result<usize> {
        let states = inner.history(cx, name).await?.len();
        Ok(states.saturating_sub(keep.max(1)))
    }
}

/// Writes what it has read back, so that every read makes new versions.
pub struct WritesOnReads;

#[async_trait]
impl Bend for WritesOnReads {
    fn label(&self) -> &'static str {
        "WritesOnReads"
    }

    async fn read(&self, inner: &dyn Provider, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let snapshot = inner.read(cx, what).await?;
        for (name, lookup) in &snapshot.items {
            if let Ok(Lookup::Found(stored)) = lookup {
                let change = Change {
                    name,
                    op: Op::Put(&stored.value),
                    when: Precondition::Unguarded,
                };
                inner.write(cx, None, &[change]).await?;
            }
        }
        Ok(snapshot)
    }
}

/// Says of every poll the same.
pub struct PollsAlike(pub bool);

#[async_trait]
impl Bend for PollsAlike {
    fn label(&self) -> &'static str {
        "PollsAlike"
    }

    async fn poll(&self, inner: &dyn Provider, cx: &Ctx, since: Option<&Cursor>) -> Result<Poll> {
        let poll = inner.poll(cx, since).await?;
        Ok(Poll {
            changed: self.0,
            ..poll
        })
    }
}
