//! How many requests each thing costs, and how many are under way at once: the service has quotas, and a
//! round trip is a wait.
#![allow(clippy::unwrap_used)]

mod support;

use secrets_api::{Change, Op, Precondition, SecretValue, Select};
use secrets_testkit::block_on;
use secrets_testkit::fakes::gcp::Gcp;
use support::{PARENT, cx, name, open_at, put, requests, value};

/// So many secrets, `N0`, `N1`, …, each with its name for a value.
fn plant(fake: &Gcp, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|n| format!("N{n}")).collect();
    let items: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), name.as_bytes()))
        .collect();
    fake.plant(PARENT, &items);
    names
}

#[test]
fn a_value_is_one_request() {
    let fake = Gcp::plain();
    fake.plant(PARENT, &[("A", b"a")]);
    let store = open_at(&fake, "gcp:shop");
    assert_eq!(
        block_on(value(&*store, "A")).unwrap().as_deref(),
        Some(&b"a"[..])
    );
    assert_eq!(
        requests(&fake.server().log()),
        ["GET /v1/projects/shop/secrets/A/versions/latest:access"]
    );
}

#[test]
fn a_change_of_what_is_there_is_one_request_and_a_new_secret_three() {
    let fake = Gcp::plain();
    fake.plant(PARENT, &[("A", b"a")]);
    let store = open_at(&fake, "gcp:shop");
    block_on(put(&*store, "A", b"b")).unwrap();
    let add = |name: &str| format!("POST /v1/projects/shop/secrets/{name}:addVersion");
    assert_eq!(requests(&fake.server().log()), [add("A")]);
    fake.server().forget();
    block_on(put(&*store, "B", b"b")).unwrap();
    let create = "POST /v1/projects/shop/secrets".to_owned();
    assert_eq!(requests(&fake.server().log()), [add("B"), create, add("B")]);
}

#[test]
fn a_new_secret_is_two_requests_after_a_list_that_did_not_show_it() {
    let fake = Gcp::plain();
    fake.plant(PARENT, &[("A", b"a")]);
    let store = open_at(&fake, "gcp:shop");
    block_on(store.read(&cx(), Select::All)).unwrap();
    let create = "POST /v1/projects/shop/secrets".to_owned();
    let add = |name: &str| format!("POST /v1/projects/shop/secrets/{name}:addVersion");
    for (name, wanted) in [
        ("A", vec![add("A")]),
        ("B", vec![create.clone(), add("B")]),
        ("B", vec![add("B")]),
    ] {
        fake.server().forget();
        block_on(put(&*store, name, b"b")).unwrap();
        assert_eq!(requests(&fake.server().log()), wanted);
    }
    // Somebody else was faster: a version is added to what is there.
    fake.plant(PARENT, &[("C", b"c")]);
    fake.server().forget();
    let version = block_on(put(&*store, "C", b"b")).unwrap();
    assert_eq!(version.unwrap().as_str(), "2");
    assert_eq!(requests(&fake.server().log()), [create, add("C")]);
}

#[test]
fn a_secret_that_another_tool_has_made_empty_is_filled() {
    let fake = Gcp::plain();
    fake.plant_empty(PARENT, "A");
    let store = open_at(&fake, "gcp:shop");
    assert_eq!(block_on(value(&*store, "A")).unwrap(), None);
    let version = block_on(put(&*store, "A", b"a")).unwrap();
    assert_eq!(version.unwrap().as_str(), "1");
    assert!(block_on(value(&*store, "A")).unwrap().is_some());
}

#[test]
fn a_thousand_secrets_are_the_pages_of_a_list_and_a_thousand_reads_sixteen_at_once() {
    let fake = Gcp::plain();
    let names = plant(&fake, 1000);
    fake.page_at_most(300);
    let store = open_at(&fake, "gcp:shop");
    let snapshot = block_on(store.read(&cx(), Select::All)).unwrap();
    assert_eq!(snapshot.items.len(), names.len());
    for (name, lookup) in snapshot.items {
        let stored = lookup.unwrap().into_found().unwrap();
        assert_eq!(stored.value.expose(), name.as_str().as_bytes());
    }
    let log = fake.server().log();
    let listing = |request: &&String| *request == "GET /v1/projects/shop/secrets";
    let requests = requests(&log);
    assert_eq!(requests.iter().filter(listing).count(), 4);
    assert_eq!(requests.len(), 4 + 1000);
    assert!(fake.server().most_under_way() <= 16);
    let connections = fake.server().connections();
    // One pool: a connection or two more than requests at once, where one was not yet given back.
    assert!(connections <= 20, "{connections} connections");
}

#[test]
fn some_of_many_are_read_without_a_list() {
    let fake = Gcp::plain();
    plant(&fake, 100);
    let store = open_at(&fake, "gcp:shop");
    let asked = ["N7", "NONE", "N99"].map(name);
    let items = block_on(store.read(&cx(), Select::Names(&asked)))
        .unwrap()
        .items;
    let found: Vec<bool> = items
        .into_iter()
        .map(|(_, lookup)| lookup.unwrap().found().is_some())
        .collect();
    assert_eq!(found, [true, false, true]);
    assert_eq!(fake.server().log().len(), 3);
}

#[test]
fn a_list_asks_for_pages_alone_however_many_secrets_there_are() {
    let fake = Gcp::plain();
    plant(&fake, 60);
    fake.page_at_most(25);
    let store = open_at(&fake, "gcp:shop");
    assert_eq!(block_on(store.list(&cx())).unwrap().len(), 60);
    let log = fake.server().log();
    assert_eq!(log.len(), 3);
    assert!(
        log.iter()
            .all(|seen| seen.target.contains("pageSize=25000"))
    );
}

#[test]
fn only_secrets_that_were_removed_once_are_asked_after_in_a_list() {
    let fake = Gcp::plain();
    plant(&fake, 20);
    let store = open_at(&fake, "gcp:shop");
    for name in ["N3", "N4"] {
        block_on(support::change(&*store, name, Op::Delete)).unwrap();
    }
    block_on(put(&*store, "N4", b"back")).unwrap();
    fake.server().forget();
    let listed = block_on(store.list(&cx())).unwrap();
    assert_eq!(listed.len(), 19);
    assert!(listed.iter().all(|(name, _)| name.as_str() != "N3"));
    assert_eq!(fake.server().log().len(), 1 + 2);
}

#[test]
fn a_batch_is_written_sixteen_at_once_and_answered_one_by_one() {
    let fake = Gcp::plain();
    let names: Vec<_> = plant(&fake, 40).iter().map(|text| name(text)).collect();
    fake.server().forget();
    let store = open_at(&fake, "gcp:shop");
    let new = SecretValue::from_slice(b"new");
    let changes: Vec<_> = names
        .iter()
        .map(|name| Change {
            name,
            op: Op::Put(&new),
            when: Precondition::Unguarded,
        })
        .collect();
    let written = block_on(store.write(&cx(), None, &changes)).unwrap();
    for item in written.items {
        assert_eq!(item.unwrap().unwrap().as_str(), "2");
    }
    assert_eq!(fake.server().log().len(), 40);
    assert!(fake.server().most_under_way() <= 16);
}

#[test]
fn opening_a_store_and_asking_for_nothing_makes_no_request() {
    let fake = Gcp::plain();
    let store = open_at(&fake, "gcp:shop/django");
    store.capabilities();
    store.policy().unwrap();
    block_on(store.read(&cx(), Select::Names(&[]))).unwrap();
    block_on(store.write(&cx(), None, &[])).unwrap();
    // Names that no id can hold are not there.
    let long = [name(&"L".repeat(249))];
    let items = block_on(store.read(&cx(), Select::Names(&long))).unwrap();
    assert_eq!(items.items.len(), 1);
    assert_eq!(fake.server().log().len(), 0);
}

#[test]
fn stores_of_two_prefixes_and_of_a_region_do_not_meet() {
    let fake = Gcp::plain();
    let uris = [
        "gcp:shop/web",
        "gcp:shop/web-b",
        "gcp:shop",
        "gcp:shop/web?location=europe-west3",
    ];
    for uri in uris {
        block_on(put(&*open_at(&fake, uri), "A", uri.as_bytes())).unwrap();
    }
    for uri in uris {
        let store = open_at(&fake, uri);
        let snapshot = block_on(store.read(&cx(), Select::All)).unwrap();
        assert_eq!(snapshot.items.len(), 1, "{uri}");
        let found = block_on(value(&*store, "A")).unwrap();
        assert_eq!(found.as_deref(), Some(uri.as_bytes()));
        let foreign: &[&str] = match uri {
            "gcp:shop" => &["web-b-A", "web-A"],
            _ => &[],
        };
        let mut told = snapshot.foreign;
        told.sort_by_key(|id| std::cmp::Reverse(id.len()));
        assert_eq!(told, foreign, "{uri}");
    }
}

#[test]
fn new_secrets_have_the_labels_and_the_policy_that_the_address_names() {
    let fake = Gcp::plain();
    let store = open_at(
        &fake,
        "gcp:shop?labels=team:shop,stage:dev&replication=europe-west3+europe-west4",
    );
    block_on(put(&*store, "A", b"a")).unwrap();
    let labels = fake.labels(PARENT, "A");
    let tags = block_on(store.list(&cx())).unwrap().remove(0).1.tags;
    let mut sorted = labels.clone();
    sorted.sort();
    assert_eq!(tags, sorted);
    assert_eq!(labels.len(), 2);
}
