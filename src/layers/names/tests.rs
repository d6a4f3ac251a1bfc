//! A mapping is one-to-one, a store under one is as good a store, and what it tells is told of our names.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use secrets_api::{Op, Precondition, ProviderExt as _, Unit};
use secrets_memory::Memory;
use secrets_testkit::bend::{Bend, Bent};
use secrets_testkit::{Fixture, Place, block_on, conformance, seed_through};

use super::*;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn names(prefix: Option<&str>, rename: &[(&str, &str)]) -> Names {
    Names::new(prefix, &pairs(rename)).unwrap()
}

fn pairs(rename: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = rename.iter();
    pairs
        .map(|(ours, theirs)| ((*ours).to_owned(), (*theirs).to_owned()))
        .collect()
}

fn shop() -> Names {
    names(Some("SHOP_"), &[("SECRET_KEY", "DJANGO_SECRET")])
}

#[test]
fn a_name_goes_there_and_comes_back() {
    for (ours, theirs) in [
        ("DATABASE_URL", "SHOP_DATABASE_URL"),
        ("SECRET_KEY", "DJANGO_SECRET"),
        ("SHOP_A", "SHOP_SHOP_A"),
        ("_", "SHOP__"),
    ] {
        assert_eq!(shop().theirs(&name(ours)).unwrap(), name(theirs));
        assert_eq!(shop().ours(&name(theirs)), Some(name(ours)));
    }
    let swapped = names(None, &[("A", "B"), ("B", "A")]);
    assert_eq!(swapped.theirs(&name("A")).unwrap(), name("B"));
    assert_eq!(swapped.ours(&name("A")), Some(name("B")));
    assert_eq!(Names::default().theirs(&name("A")).unwrap(), name("A"));
}

#[test]
fn what_is_the_form_of_none_of_our_names_is_none_of_ours() {
    // The last two are what a renamed secret is called otherwise, and what is no name without its prefix.
    for theirs in ["OTHER", "SHOP_", "shop_A", "SHOP_SECRET_KEY", "SHOP_1"] {
        assert_eq!(shop().ours(&name(theirs)), None, "{theirs}");
    }
}

#[test]
fn a_name_whose_form_is_taken_or_too_long_is_refused_by_name() {
    let mapped = names(Some("SHOP_"), &[("A", "SHOP_B")]);
    let error = mapped.theirs(&name("B")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.name(), Some(&name("B")));
    assert!(
        error.message().contains("what A is called there"),
        "{error}"
    );
    let long = "L".repeat(Name::MAX_BYTES - 4);
    let error = shop().theirs(&name(&long)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("256 characters"), "{error}");
}

#[test]
fn a_mapping_that_is_not_one_to_one_or_of_no_names_is_refused() {
    for (prefix, rename) in [
        (None, &[("A", "X"), ("B", "X")][..]),
        (Some("SHOP-"), &[]),
        (Some("1"), &[]),
        (Some(""), &[]),
        (Some(&*"P".repeat(Name::MAX_BYTES)), &[]),
        (None, &[("A B", "X")]),
        (None, &[("A", "")]),
    ] {
        let error = Names::new(prefix, &pairs(rename)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{prefix:?}");
    }
}

#[test]
fn a_mapping_has_one_identity_and_shares_it_with_no_other() {
    let all = [
        Names::default(),
        names(Some("A"), &[]),
        names(Some("A1_"), &[]),
        names(None, &[("A", "B")]),
        names(None, &[("B", "A")]),
        names(None, &[("A", "B"), ("B", "A")]),
        names(Some("A"), &[("A", "B")]),
        names(None, &[("AB", "C")]),
        names(None, &[("A", "BC")]),
    ];
    for (n, one) in all.iter().enumerate() {
        for other in &all[..n] {
            assert_ne!(one.identity(), other.identity());
        }
    }
    // Said or not, it is the same mapping.
    let said = names(Some("P_"), &[("A", "P_A")]);
    assert_eq!(said.identity(), names(Some("P_"), &[]).identity());
    assert!(Names::default().is_empty() && names(None, &[("A", "A")]).is_empty());
    assert_eq!(shop().identity(), "5:SHOP_10:SECRET_KEY13:DJANGO_SECRET");
}

proptest! {
    #[test]
    fn whatever_the_mapping_it_is_one_to_one(
        prefix in proptest::option::of("[AB_]{1,2}"),
        rename in proptest::collection::btree_map("[AB_]{1,3}", "[AB_]{1,3}", 0..6),
        asked in proptest::collection::btree_set("[AB_]{1,4}", 0..20),
    ) {
        let Ok(names) = Names::new(prefix.as_deref(), &rename) else { return Ok(()) };
        let mut seen = BTreeMap::new();
        for text in asked {
            let asked = name(&text);
            if let Ok(theirs) = names.theirs(&asked) {
                prop_assert_eq!(names.ours(&theirs), Some(asked.clone()));
                prop_assert_eq!(seen.insert(theirs, asked.clone()), None);
            }
            if let Some(ours) = names.ours(&asked) {
                prop_assert_eq!(names.theirs(&ours).ok(), Some(asked));
            }
        }
    }
}

#[test]
fn two_mappings_of_one_store_that_cannot_meet_are_told_from_those_that_can() {
    let of = |prefix, rename: &[(&str, &str)]| names(prefix, rename);
    for (one, other, never) in [
        (of(Some("STG_"), &[]), of(Some("PRD_"), &[]), true),
        (
            of(Some("STG_"), &[("A", "SHARED")]),
            of(Some("PRD_"), &[]),
            true,
        ),
        (
            of(Some("STG_"), &[("A", "ONE")]),
            of(Some("PRD_"), &[("A", "TWO")]),
            true,
        ),
        (
            of(Some("STG_"), &[("A", "PRD_A")]),
            of(Some("PRD_"), &[]),
            false,
        ),
        (
            of(Some("STG_"), &[("A", "ONE")]),
            of(Some("PRD_"), &[("B", "one")]),
            false,
        ),
        (of(Some("STG_"), &[]), of(Some("STG_2_"), &[]), false),
        (of(Some("STG_"), &[]), of(Some("stg_"), &[]), false),
        (of(Some("STG_"), &[]), of(Some("STG_"), &[]), false),
        (of(Some("STG_"), &[]), Names::default(), false),
        (of(None, &[("A", "X")]), of(None, &[("A", "Y")]), false),
    ] {
        assert_eq!(one.never_meets(&other), never, "{one:?} {other:?}");
        assert_eq!(other.never_meets(&one), never, "{one:?} {other:?}");
    }
}

proptest! {
    #[test]
    fn no_name_of_a_store_is_in_two_mappings_that_never_meet(
        prefixes in ("[AB_]{1,2}", "[AB_]{1,2}"),
        renames in proptest::array::uniform2(
            proptest::collection::btree_map("[AB_]{1,3}", "[AB_]{1,3}", 0..3),
        ),
        theirs in proptest::collection::btree_set("[AB_]{1,4}", 0..40),
    ) {
        let made = (Names::new(Some(&prefixes.0), &renames[0]), Names::new(Some(&prefixes.1), &renames[1]));
        let (Ok(one), Ok(other)) = made else { return Ok(()) };
        if one.never_meets(&other) {
            for theirs in theirs {
                let theirs = name(&theirs);
                prop_assert!(one.ours(&theirs).is_none() || other.ours(&theirs).is_none(), "{theirs}");
            }
        }
    }
}

/// Says of each value what it is put together from.
struct Refers(&'static [&'static str]);

#[async_trait]
impl Bend for Refers {
    fn label(&self) -> &'static str {
        "Refers"
    }

    async fn read(&self, inner: &dyn Provider, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let mut snapshot = inner.read(cx, what).await?;
        for (_, lookup) in &mut snapshot.items {
            if let Ok(Lookup::Found(stored)) = lookup {
                let tags = self
                    .0
                    .iter()
                    .map(|name| (REFERS.to_owned(), (*name).to_owned()));
                stored.meta.tags = tags
                    .chain([("own".to_owned(), "SHOP_X".to_owned())])
                    .collect();
            }
        }
        Ok(snapshot)
    }
}

#[test]
fn what_a_value_is_put_together_from_is_told_by_our_names() {
    let memory = Arc::new(Memory::new(Memory::CAPABILITIES));
    block_on(seed_through(&*memory, &[("SHOP_A", b"x")])).unwrap();
    let bend = Refers(&["SHOP_B", "DJANGO_SECRET", "OTHER"]);
    let store = Renamed::new(Bent::new(memory, bend), shop());
    for what in [Select::All, Select::Names(&[name("A")])] {
        let snapshot = block_on(store.read(&cx(), what)).unwrap();
        let (_, lookup) = snapshot.items.into_iter().next().unwrap();
        let tags = lookup.unwrap().into_found().unwrap().meta.tags;
        let tags: Vec<_> = tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            tags,
            [(REFERS, "B"), (REFERS, "SECRET_KEY"), ("own", "SHOP_X")]
        );
    }
}

/// A store of either unit under a mapping, with names in it that are none of ours.
struct Mapped(Unit, Option<usize>);

impl Fixture for Mapped {
    fn fresh(&self) -> Place {
        let mut can = Memory::CAPABILITIES;
        can.unit = self.0;
        can.limits.name_bytes = self.1;
        let store = Memory::new(can);
        block_on(seed_through(&store, &[("ELSE", b"x"), ("SHOP_A", b"x")])).unwrap();
        Place::new(store)
    }

    fn open(&self, place: &Place) -> Arc<dyn Provider> {
        let names = names(Some("SHOP_"), &[("A", "THEIRS"), ("B", "A")]);
        Arc::new(Renamed::new(Arc::new(place.get::<Memory>().clone()), names))
    }
}

#[test]
fn a_store_under_other_names_passes_the_conformance_suite() {
    conformance(&Mapped(Unit::Document, None));
    conformance(&Mapped(Unit::Secret, Some(60)));
}

fn cx() -> Ctx {
    Ctx::within(Duration::from_secs(10))
}

#[test]
fn a_name_the_store_cannot_hold_is_absent_and_refused_before_it_is_written() {
    let inner = Memory::new(Memory::CAPABILITIES);
    let names = names(None, &[("SECRET_KEY", "DJANGO_SECRET")]);
    let store = Renamed::new(Arc::new(inner.clone()), names);
    let (held, taken) = (name("SECRET_KEY"), name("DJANGO_SECRET"));
    let value = SecretValue::from_slice(b"v");
    let put = |name| Change {
        name,
        op: Op::Put(&value),
        when: Precondition::Unguarded,
    };
    block_on(store.write(&cx(), None, &[put(&held)])).unwrap();
    assert!(store.admit(&held, &value).is_ok());
    let refused = [
        store.admit(&taken, &value).unwrap_err(),
        block_on(store.write(&cx(), None, &[put(&held), put(&taken)])).unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(
            (error.name(), error.store()),
            (Some(&taken), Some("memory:"))
        );
    }
    let asked = [taken.clone(), held.clone(), taken.clone()];
    let read = block_on(store.read(&cx(), Select::Names(&asked))).unwrap();
    let found: Vec<_> = read
        .items
        .into_iter()
        .map(|(name, lookup)| (name, lookup.unwrap().found().is_some()))
        .collect();
    assert_eq!(
        found,
        [(taken.clone(), false), (held, true), (taken.clone(), false)]
    );
    assert!(block_on(store.history(&cx(), &taken)).unwrap().is_empty());
    assert_eq!(block_on(store.prune(&cx(), &taken, 1)).unwrap(), 0);
}

#[test]
fn what_the_store_says_of_a_name_it_says_of_ours() {
    let inner = Memory::new(Memory::CAPABILITIES);
    let store = Renamed::new(Arc::new(inner), shop());
    let (key, value) = (name("SECRET_KEY"), SecretValue::from_slice(b"v"));
    let create = || Change {
        name: &key,
        op: Op::Put(&value),
        when: Precondition::Absent,
    };
    block_on(store.write_one(&cx(), create())).unwrap();
    let error = block_on(store.write_one(&cx(), create())).unwrap_err();
    assert_eq!(
        (error.kind(), error.name(), error.message()),
        (
            ErrorKind::Conflict,
            Some(&key),
            "SECRET_KEY was changed by someone else"
        )
    );
}

#[test]
fn a_hint_names_ours_to_us_and_theirs_to_others() {
    let store = Renamed::new(
        Arc::new(Memory::named("hint")),
        names(None, &[("A", "KEY")]),
    );
    let said = |hint: &str| {
        let error = Error::new(ErrorKind::Unexpected, "KEY (KEY_2, x-KEY) failed");
        let told = store.told_of(&name("A"), error.with_hint(hint).about(&name("KEY")));
        assert_eq!(told.message(), "A (KEY_2, x-KEY) failed");
        told.hint().unwrap().to_owned()
    };
    for (theirs, ours) in [
        ("try `secrets unset KEY` now", "try `secrets unset A` now"),
        ("secrets history prune KEY", "secrets history prune A"),
        ("below [secrets.KEY] in it", "below [secrets.A] in it"),
        (
            "gcloud secrets versions disable KEY --secret=KEY",
            "gcloud secrets versions disable KEY --secret=KEY",
        ),
        (
            "`az keyvault secret show --name KEY`",
            "`az keyvault secret show --name KEY`",
        ),
    ] {
        assert_eq!(said(theirs), ours);
    }
}

/// Issues two fields.
struct Issues;

#[async_trait]
impl Leasing for Issues {
    async fn issue(&self, _cx: &Ctx) -> Result<Leased> {
        let lease = Lease {
            id: "l".into(),
            lasts: Duration::from_secs(1),
            renewable: false,
        };
        let items = ["USERNAME", "TTL"].map(|n| (name(n), SecretValue::from_slice(b"v")));
        Ok(Leased {
            lease,
            items: items.into(),
        })
    }

    async fn renew(&self, cx: &Ctx, _lease: &str, _increment: Duration) -> Result<Lease> {
        Ok(self.issue(cx).await?.lease)
    }

    async fn revoke(&self, _cx: &Ctx, _lease: &str) -> Result<()> {
        Err(Error::new(ErrorKind::Unexpected, "asked"))
    }
}

impl Bend for Issues {
    fn label(&self) -> &'static str {
        "Issues"
    }

    fn leasing<'a>(&'a self, _inner: &'a dyn Provider) -> Option<&'a dyn Leasing> {
        Some(self)
    }
}

#[test]
fn what_is_issued_comes_under_our_names() {
    let memory = Arc::new(Memory::new(Memory::CAPABILITIES));
    let mapped = names(Some("P_"), &[("DB_USER", "USERNAME")]);
    let plain = Renamed::new(Arc::<Memory>::clone(&memory), mapped.clone());
    assert!(plain.leasing().is_none());
    let store = Renamed::new(Bent::new(memory, Issues), mapped);
    let leasing = store.leasing().unwrap();
    let leased = block_on(leasing.issue(&cx())).unwrap();
    let issued: Vec<_> = leased.items.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((issued, leased.lease.id.as_str()), (vec!["DB_USER"], "l"));
    let ended = block_on(leasing.revoke(&cx(), "l"));
    assert_eq!(ended.unwrap_err().message(), "asked");
}
