//! The program itself, killed outright while it syncs a `.env` and a real OpenBao and a person goes on
//! editing; and a store that vanishes half-way.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;
use secrets_testkit::servers::{Admin, OpenBao, Relay};
use secrets_testkit::web::{Fault, Harm, Request, Server};

use crate::dice::Dice;
use crate::sandbox::{Done, Run, SECRETS, Sandbox};
use crate::support::{bare, cx, name};

/// How many secrets there are: each is a write of its own, so that a kill falls among them.
const SECRETS_THERE: usize = 30;
/// So many are added before each run, to be removed before a later one that passes deletions on.
const SO_MANY_PASSING: usize = 8;
/// They are written amid the others: in the order of their names.
const PASSING: &str = "COMMON_15_";
/// How often to run again before that is no convergence any more.
const TRIES: usize = 4;

/// A project with a `.env`, a mirror in OpenBao and a local store that keeps what is replaced.
struct Site {
    sandbox: Sandbox,
    variables: [(&'static str, String); 3],
    mirror: String,
    admin: Admin,
}

impl Site {
    /// `address` is the server's, or that of what stands before it.
    fn new(server: &OpenBao, address: &str, path: &str) -> Self {
        let mirror = format!("vault:secret/{path}?layout=each");
        let sandbox = Sandbox::initialised();
        let manifest =
            format!("[environments.dev]\nsource = [\"dotenv:.env\"]\nmirrors = [\"{mirror}\"]\n");
        sandbox.write("secrets.toml", manifest);
        let digest = sandbox.secrets("trust --json").done().json()["digest"].clone();
        let site = Self {
            sandbox,
            variables: [
                ("VAULT_ADDR", address.to_owned()),
                ("VAULT_TOKEN", "root-token-of-the-tests".to_owned()),
                ("SECRETS_TRUST", digest.as_str().unwrap().to_owned()),
            ],
            mirror,
            admin: server.admin(),
        };
        site.run("list").succeeds();
        site
    }

    fn run(&self, words: &str) -> Run<'_> {
        let run = self.sandbox.secrets(words);
        let variables = self.variables.iter();
        variables.fold(run, |run, (name, value)| run.env(name, value))
    }

    /// The same, to be killed.
    fn start(&self, words: &str) -> Child {
        let mut command = Command::new(SECRETS);
        command
            .args(words.split(' '))
            .env_clear()
            .env("HOME", self.sandbox.home())
            .env("LANG", "C.UTF-8")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.sandbox.project())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// A `.env` as a person leaves it, with a comment at either end.
    fn write(&self, values: &BTreeMap<String, String>) {
        let lines = values
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"));
        let text = format!("# first\n{}# last\n", lines.collect::<String>());
        self.sandbox.write(".env", text);
    }

    /// What the `.env` says, read without the program.
    fn read(&self) -> BTreeMap<String, String> {
        let text = self.sandbox.read(".env");
        assert!(text.starts_with("# first\n"), "the file lost its beginning");
        assert!(text.contains("# last\n"), "the file lost its end");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| line.split_once('=').expect("a whole line"))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
            .collect()
    }

    /// All values that OpenBao has had under a name, oldest first, read without the program.
    fn past(&self, secret: &str) -> Vec<String> {
        let path = self.mirror.strip_prefix("vault:secret/").unwrap();
        let path = path.strip_suffix("?layout=each").unwrap();
        let at = |kind: &str, more: &str| {
            let path = format!("secret/{kind}/{path}/{secret}{more}");
            self.admin.call("GET", &path, None).1["data"].clone()
        };
        let known = at("metadata", "");
        let versions = known["versions"].as_object().cloned().unwrap_or_default();
        let mut numbers: Vec<u64> = versions.keys().map(|n| n.parse().unwrap()).collect();
        numbers.sort_unstable();
        let value = |n: u64| at("data", &format!("?version={n}"))["data"]["value"].clone();
        let values = numbers.into_iter().map(value);
        values
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect()
    }

    /// Whether OpenBao holds a name now, read without the program.
    fn is_there(&self, secret: &str) -> bool {
        let path = self.mirror.strip_prefix("vault:secret/").unwrap();
        let path = path.strip_suffix("?layout=each").unwrap();
        let path = format!("secret/data/{path}/{secret}");
        let (_, answer) = self.admin.call("GET", &path, None);
        answer["data"]["data"]["value"].is_string()
    }

    /// What is remembered of the two stores.
    fn noted(&self) -> Vec<u8> {
        let sync = self.sandbox.home().join(".local/state/secrets/sync");
        let folders = std::fs::read_dir(sync).into_iter().flatten();
        let files = folders.map(|folder| folder.unwrap().path().join("base.json"));
        files
            .flat_map(|file| std::fs::read(file).unwrap_or_default())
            .collect()
    }

    /// All values that the local store has kept under a name.
    fn kept(&self, secret: &str) -> Vec<String> {
        let home = self.sandbox.home();
        let config = home.join(".config/secrets");
        let identity = std::fs::read(config.join("identity")).unwrap();
        let mut opening = TestOpening::new().with_identity(&identity);
        opening.root = self.sandbox.project();
        opening.dirs.state = home.join(".local/state/secrets");
        (opening.dirs.home, opening.dirs.config) = (home, config);
        let store = bare(&opening, "local:dev.replaced");
        let secret = name(secret);
        block_on(async {
            let mut values = Vec::new();
            for meta in store.history(&cx(), &secret).await.unwrap() {
                let version = meta.version.unwrap();
                let state = store.read_version(&cx(), &secret, &version).await.unwrap();
                let text = state.found().and_then(|s| s.value.expose_text());
                values.extend(text.map(str::to_owned));
            }
            values
        })
    }

    /// Runs it until it says that all is done.
    fn until_done(&self, words: &str) {
        let mut said = String::new();
        for _ in 0..TRIES {
            let done = self.run(words).done();
            if done.status == 0 {
                return;
            }
            said = format!("{}\n{}", done.status, done.err);
        }
        panic!("{words} does not end well: {said}");
    }

    /// Files that a killed run leaves beside what it was about to replace.
    fn left_over(&self) -> Vec<String> {
        let files = self.sandbox.files().into_iter();
        let names = files.map(|(path, _)| path.display().to_string());
        names.filter(|path| path.contains(".secrets-")).collect()
    }
}

/// Values that a person was told are kept, by name.
type Acknowledged = Vec<(String, String)>;

/// A person who sets secrets, here and in the mirror, while a sync runs. A file that changes all the time
/// may turn them away; what counts is what they are told.
fn edit(site: &Site, round: usize) -> Acknowledged {
    let mut acknowledged = Vec::new();
    let mut set = |secret: &str, place: &str, value: String| {
        let words = format!("set {secret} --yes{place}");
        let done = site.run(&words).input(&value).done();
        match done.status {
            0 => acknowledged.push((secret.to_owned(), value)),
            status => assert!(matches!(status, 5 | 6), "{status}: {}", done.err),
        }
        done.status == 0
    };
    let mirror = format!(" --store {}", site.mirror);
    let both = format!("BOTH_{round}");
    let is_here = set(&both, "", format!("here-{round}"));
    let common = format!("COMMON_{:02}", round % 7);
    set(&common, &mirror, format!("there-{round}"));
    // What is in the mirror alone a push would leave there, and call drift.
    if is_here {
        set(&both, &mirror, format!("there-too-{round}"));
    }
    acknowledged
}

/// Kills it so long after it has noted what it is about to write, unless it has ended.
fn kill_among_writes(site: &Site, mut child: Child, before: &[u8], after: Duration) -> bool {
    while site.noted() == before {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    kill_at(child, after)
}

/// Kills it then, unless it has ended.
fn kill_at(mut child: Child, moment: Duration) -> bool {
    let start = Instant::now();
    while start.elapsed() < moment {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    status.code().is_none()
}

/// How long a run takes that changes everything, beside a person at work: the middle of three.
fn undisturbed(site: &Site, run: &str) -> Duration {
    let mut times = ["one", "two", "three"].map(|which| {
        let mut values = site.read();
        values.extend(common(which));
        site.write(&values);
        let mut child = site.start(run);
        let lasts = std::thread::scope(|scope| {
            scope.spawn(|| site.run("list").succeeds());
            let start = Instant::now();
            child.wait().unwrap();
            start.elapsed()
        });
        site.until_done(run);
        lasts
    });
    times.sort();
    times[1]
}

/// The secrets of one round, each with a new value.
fn common(round: &str) -> BTreeMap<String, String> {
    let secret = |n| (format!("COMMON_{n:02}"), format!("value-{round}-{n}"));
    (0..SECRETS_THERE).map(secret).collect()
}

/// Every value that was acknowledged is somewhere it can be had from. How many are with the local store alone.
fn nothing_is_lost(site: &Site, acknowledged: &Acknowledged) -> usize {
    let now = site.read();
    let is_only_kept = |(secret, value): &&(String, String)| {
        if now.get(secret) == Some(value) || site.past(secret).contains(value) {
            return false;
        }
        let kept = site.kept(secret).contains(value);
        assert!(kept, "{secret}: {value} was acknowledged and is lost");
        kept
    };
    acknowledged.iter().filter(is_only_kept).count()
}

/// That the whole state is sound: both sides the same, and remembered so.
fn in_step(site: &Site) {
    let status = site.run("status --json").done();
    let report = status.json();
    let pair = &report["environments"][0]["mirrors"][0];
    assert_eq!(status.status, 0, "{report:#}\n{}", status.err);
    assert_eq!(pair["base"]["known"], true, "{report:#}");
    for (secret, value) in site.read() {
        assert_eq!(site.past(&secret).last(), Some(&value), "{secret}");
    }
}

/// That what was removed here is nowhere any more.
fn gone(site: &Site, removed: &BTreeSet<String>) {
    let now = site.read();
    for secret in removed {
        assert!(!now.contains_key(secret), "{secret} is back in the file");
        assert!(!site.is_there(secret), "{secret} is still in the mirror");
    }
}

#[test]
fn killed_again_and_again_it_converges_and_nothing_acknowledged_is_lost() {
    let kills: usize = std::env::var("SECRETS_TEST_SYNC_KILLS").map_or(10, |n| n.parse().unwrap());
    let server = OpenBao::start();
    let site = Site::new(&server, server.address(), "shop/killed");
    let mirror = site.mirror.clone();
    let runs = [
        "push --yes --prefer source --delete".to_owned(),
        "push --yes --prefer source".to_owned(),
        format!("sync dotenv:.env {mirror} --yes --first --prefer left --delete"),
        format!("sync dotenv:.env {mirror} --yes --first --prefer left"),
        format!("sync dotenv:.env {mirror} --yes --first --prefer right"),
    ];

    site.write(&common("first"));
    site.until_done(&runs[0]);
    let lasts = undisturbed(&site, &runs[0]);

    let mut dice = Dice::new(5);
    let (mut killed, mut among_writes, mut among_deletions, mut only_kept) = (0, 0, 0, 0);
    let mut removed = BTreeSet::new();
    for round in 0..kills {
        let run = &runs[round % runs.len()];
        let mut values = site.read();
        values.extend(common(&round.to_string()));
        let mut going: BTreeSet<String> = BTreeSet::new();
        if run.contains("--delete") {
            going.extend(values.keys().filter(|n| n.starts_with(PASSING)).cloned());
            values.retain(|name, _| !going.contains(name));
        }
        values
            .extend((0..SO_MANY_PASSING).map(|n| (format!("{PASSING}{round}_{n}"), n.to_string())));
        site.write(&values);
        let mut acknowledged: Acknowledged = values.clone().into_iter().collect();

        // Spread evenly over the run, each somewhere in its share.
        let share = lasts / u32::try_from(kills).unwrap();
        let chance = dice.below(1000) as f64 / 1000.0;
        let within = share.mul_f64(chance);
        let moment = share * u32::try_from((round * 7) % kills).unwrap() + within;
        // Many where it matters most: the writes are the smallest part of a run.
        let amid = round % 2 == 0 || !going.is_empty() && round % 3 > 0;
        let before = site.noted();
        let child = site.start(run);
        let edited = std::thread::scope(|scope| {
            let person = scope.spawn(|| edit(&site, round));
            killed += usize::from(match amid {
                true => kill_among_writes(&site, child, &before, lasts.mul_f64(chance / 3.0)),
                false => kill_at(child, moment),
            });
            person.join().unwrap()
        });
        acknowledged.extend(edited);

        let now = site.read();
        for secret in values.keys() {
            assert!(now.contains_key(secret), "{secret} is gone from the file");
        }
        let written = (0..SECRETS_THERE).map(|n| format!("COMMON_{n:02}"));
        let new = |secret: &String| site.past(secret).last() == values.get(secret);
        let written = written.filter(new).count();
        among_writes += usize::from(written > 0 && written < SECRETS_THERE);
        let left = going.iter().filter(|name| site.is_there(name)).count();
        among_deletions += usize::from(left > 0 && left < going.len());

        site.until_done(run);
        in_step(&site);
        gone(&site, &going);
        removed.extend(going);
        only_kept += nothing_is_lost(&site, &acknowledged);
    }
    assert!(killed * 3 > kills, "only {killed} of {kills} were killed");
    assert!(removed.len() >= kills.min(SO_MANY_PASSING), "{removed:?}");
    gone(&site, &removed);
    // Of few kills on a busy machine all may fall beside the writes; of many they cannot.
    if kills >= 100 {
        assert!(
            among_writes > 0,
            "no kill fell among the writes of {lasts:?}"
        );
        assert!(
            among_deletions > 0,
            "no kill fell among the deletions of {lasts:?}"
        );
        assert!(only_kept > 0, "nothing was kept by the local store");
    }

    // The next write of each file clears away what was left beside it.
    site.run("set LAST").input("here").succeeds();
    let there = format!("set LAST --store {mirror} --yes");
    site.run(&there).input("there").succeeds();
    site.until_done(&runs[runs.len() - 1]);
    in_step(&site);
    assert_eq!(site.left_over(), Vec::<String>::new());
}

/// Whether this request writes a value.
fn is_write(request: &Request) -> bool {
    request.method == "POST" && request.path.contains("/data/")
}

/// The command after `to resume:`, as it was printed.
fn resuming(done: &Done) -> &str {
    let (_, rest) = done.err.split_once("to resume: `").unwrap();
    rest.split_once('`').unwrap().0
}

/// OpenBao is gone after so many writes of fifty; the answer of the last is lost too, or is not. Back again,
/// the printed command does the rest.
fn vanishes(path: &str, writes: usize, last_answer_lost: bool) {
    const ALL: usize = 50;
    let bao = OpenBao::start();
    let server = Server::plain(Relay::to(bao.address()));
    let site = Site::new(&bao, &server.url(), path);
    let values: BTreeMap<String, String> = (0..ALL)
        .map(|n| (format!("SECRET_{n:02}"), format!("value-{n}")))
        .collect();
    site.write(&values);

    let seen = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&seen);
    server.inject(Fault::always(Harm::DropBefore).only(move |request| {
        let before = match is_write(request) {
            true => counted.fetch_add(1, Ordering::SeqCst),
            false => counted.load(Ordering::SeqCst),
        };
        before >= writes
    }));
    if last_answer_lost {
        let counted = std::sync::Arc::clone(&seen);
        let last = move |request: &Request| {
            is_write(request) && counted.load(Ordering::SeqCst) + 1 == writes
        };
        let lost = Fault::once(Harm::DropAfter).only(move |request| {
            let is_last = last(request);
            if is_last {
                seen.fetch_add(1, Ordering::SeqCst);
            }
            is_last
        });
        server.inject(lost);
    }
    let command = format!("push --store dotenv:.env {} --yes", site.mirror);
    let done = site.run(&command).ends(8);
    server.heal();

    let written = values.keys().filter(|name| !site.past(name).is_empty());
    let written: Vec<&String> = written.collect();
    assert_eq!(written.len(), writes, "{}", done.err);
    let told = writes - usize::from(last_answer_lost);
    assert!(
        done.err
            .contains(&format!("{told} secrets written to {}", site.mirror)),
        "{}",
        done.err
    );
    assert!(
        done.err
            .contains(&format!("{told} secrets written, {} not", ALL - told)),
        "{}",
        done.err
    );

    let resumed = resume(&site, resuming(&done));
    assert_eq!(resumed.status, 0, "{}", resumed.err);
    for (name, value) in &values {
        assert_eq!(site.past(name), std::slice::from_ref(value), "{name}");
    }
    site.run("status").succeeds();
}

/// Types the command into a shell.
fn resume(site: &Site, command: &str) -> Done {
    let folder = site.sandbox.home().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(SECRETS, folder.join("secrets")).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let run = site
        .sandbox
        .command("sh", ["-c", command])
        .env("PATH", path);
    let variables = site.variables.iter();
    variables
        .fold(run, |run, (name, value)| run.env(name, value))
        .done()
}

#[test]
fn a_push_to_a_store_that_vanishes_is_resumed_by_the_printed_command_and_writes_nothing_twice() {
    vanishes("shop/vanished", 20, false);
}

#[test]
fn a_push_whose_last_answer_was_lost_is_resumed_and_writes_nothing_twice() {
    vanishes("shop/lost", 20, true);
}
