use crate::support::Sandbox;

fn with_two_values() -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.secrets("set A").input("first").succeeds();
    sandbox.secrets("set A").input("second").succeeds();
    sandbox
}

#[test]
fn an_earlier_value_is_brought_back() {
    let sandbox = with_two_values();
    let history = sandbox
        .secrets("history A --json")
        .succeeds()
        .hides("first")
        .json();
    assert_eq!(history["versions"].as_array().unwrap().len(), 2);
    sandbox.secrets("rollback A").succeeds().says("rolled back");
    sandbox.secrets("get A").succeeds().prints("first\n");
    let second = history["versions"][0]["version"].as_str().unwrap();
    sandbox
        .secrets(&format!("rollback A --to {}", &second[..8]))
        .succeeds();
    sandbox.secrets("get A").succeeds().prints("second\n");
}

#[test]
fn what_was_removed_is_brought_back() {
    let sandbox = with_two_values();
    sandbox.secrets("unset A").succeeds();
    sandbox.secrets("get A").ends(3);
    sandbox.secrets("rollback A").succeeds();
    sandbox.secrets("get A").succeeds().prints("second\n");
}

#[test]
fn a_rollback_in_a_dry_run_changes_nothing() {
    let sandbox = with_two_values();
    sandbox.secrets("rollback A --dry-run").succeeds();
    sandbox.secrets("get A").succeeds().prints("second\n");
}

#[test]
fn a_version_that_is_not_there_is_said() {
    let sandbox = with_two_values();
    sandbox
        .secrets("rollback A --to ffffffffffffffffffff")
        .ends(3)
        .says("secrets history A");
    sandbox.secrets("history NOPE").ends(3);
}

#[test]
fn a_store_without_history_says_so() {
    let sandbox = Sandbox::new();
    sandbox.write(".env", "A=1\n");
    sandbox.secrets("history A").ends(1).says("keeps history");
    sandbox.secrets("rollback A").ends(1).says("keeps history");
}

#[test]
fn pruning_forgets_earlier_states_after_a_word() {
    let sandbox = Sandbox::initialised();
    for value in ["1", "2", "3"] {
        sandbox.secrets("set A").input(value).succeeds();
    }
    sandbox
        .secrets("history prune A")
        .ends(2)
        .says("forget 2 earlier states of A");
    sandbox.secrets("history prune A --keep 0 --yes").ends(2);
    let report = sandbox
        .secrets("history prune A --keep 2 --yes --json")
        .succeeds()
        .json();
    assert_eq!(report["pruned"][0]["forgotten"], 1);
    sandbox.secrets("rollback A --yes").succeeds();
    sandbox.secrets("get A").succeeds().prints("2\n");
    sandbox.secrets("history prune A --yes").succeeds();
    sandbox
        .secrets("rollback A --yes")
        .ends(3)
        .says("no earlier value");
    sandbox.secrets("get A").succeeds().prints("2\n");
}
