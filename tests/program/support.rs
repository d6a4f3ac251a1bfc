//! A hermetic place to run the program in: its own home, working folder and environment; nothing
//! of the developer's machine, not even a `.env` further up, can be seen from it.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program under test.
pub const SECRETS: &str = env!("CARGO_BIN_EXE_secrets");

/// A temporary project folder with a home beside it.
pub struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    /// An empty one.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("secrets-test-")
            .tempdir()
            .unwrap();
        for name in ["home", "project", "runtime"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(folder.path().join("runtime"), private).unwrap();
        Self { folder }
    }

    /// One with an identity and an initialised `local:` store.
    pub fn initialised() -> Self {
        let sandbox = Self::new();
        sandbox.secrets("init --no-recovery").succeeds();
        sandbox
    }

    /// One with this manifest.
    pub fn with_manifest(text: &str) -> Self {
        let sandbox = Self::new();
        sandbox.write("secrets.toml", text);
        sandbox
    }

    /// The project's folder.
    pub fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// The home folder.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A path in the project.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.project().join(relative)
    }

    /// Writes a file of the project.
    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Reads a file of the project as text.
    pub fn read(&self, relative: &str) -> String {
        String::from_utf8(std::fs::read(self.path(relative)).unwrap()).unwrap()
    }

    /// The program with these arguments, parted by spaces.
    pub fn secrets(&self, words: &str) -> Run<'_> {
        self.secrets_with(words.split_whitespace())
    }

    /// The program with exactly these arguments.
    pub fn secrets_with<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Run<'_> {
        self.command(SECRETS, arguments)
    }

    /// Accepts what the manifest reaches.
    pub fn trust(&self) {
        let shown = self.secrets("trust --json").done();
        // Nothing waits: it reaches nothing new.
        if shown.status == 0 {
            return;
        }
        let shown = shown.json();
        let digest = shown["digest"].as_str().unwrap();
        self.secrets(&format!("trust --accept {digest}")).succeeds();
    }

    /// Sets a secret, expecting this exit code and the value in no output.
    #[track_caller]
    pub fn set(&self, words: &str, value: &str, status: i32) -> Done {
        let run = self.secrets(&format!("set {words}")).input(value);
        run.ends(status).hides(value)
    }

    /// A command that was printed, as a shell reads it.
    #[track_caller]
    pub fn typed(&self, line: &str) -> Run<'_> {
        let program = line.strip_prefix("secrets ").unwrap();
        self.command("sh", ["-c", &format!("exec {SECRETS} {program}")])
    }

    /// Any program, in the same surroundings.
    pub fn command<S: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Run<'_> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home())
            .env("XDG_RUNTIME_DIR", self.folder.path().join("runtime"))
            .env("LANG", "C.UTF-8")
            .current_dir(self.project());
        Run {
            command,
            input: Vec::new(),
            lifetime: std::marker::PhantomData,
        }
    }

    /// All that lies in the sandbox: paths and contents, to search them.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        collect(self.folder.path(), &mut found);
        found
    }

    /// What is remembered of each pair that was synced: the files.
    pub fn bases(&self) -> Vec<PathBuf> {
        let files = self.files().into_iter().map(|(path, _)| path);
        files.filter(|path| path.ends_with("base.json")).collect()
    }
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        } else if path.is_file() {
            found.push((path.clone(), std::fs::read(&path).unwrap_or_default()));
        }
    }
}

/// One run, being prepared.
pub struct Run<'a> {
    command: Command,
    input: Vec<u8>,
    lifetime: std::marker::PhantomData<&'a Sandbox>,
}

impl Run<'_> {
    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in this folder of the project.
    pub fn within(mut self, folder: &str) -> Self {
        let folder = self.command.get_current_dir().unwrap().join(folder);
        self.command.current_dir(folder);
        self
    }

    /// Gives standard input.
    pub fn input(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.input = bytes.as_ref().to_vec();
        self
    }

    /// Adds one argument, as it is.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Runs it to its end.
    pub fn done(mut self) -> Done {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let shown = format!("{:?}", self.command);
        let mut child = self.command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = std::mem::take(&mut self.input);
        let feeder = std::thread::spawn(move || {
            // A program that does not read its input closes the pipe.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        Done {
            shown,
            status: output
                .status
                .code()
                .unwrap_or_else(|| 1000 + output.status.signal().unwrap_or(0)),
            out: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs it and expects success.
    pub fn succeeds(self) -> Done {
        self.ends(0)
    }

    /// Runs it and expects this exit code.
    #[track_caller]
    pub fn ends(self, status: i32) -> Done {
        let done = self.done();
        assert_eq!(
            done.status,
            status,
            "{}\n-- out\n{}\n-- err\n{}",
            done.shown,
            done.text(),
            done.err
        );
        done
    }
}

/// One run, over.
pub struct Done {
    shown: String,
    /// The exit code; 1000 + the signal's number where one ended it.
    pub status: i32,
    /// Standard output.
    pub out: Vec<u8>,
    /// Standard error.
    pub err: String,
}

impl Done {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// Expects exactly this on standard output.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert_eq!(self.text(), text, "{}\n-- err\n{}", self.shown, self.err);
        self
    }

    /// Expects this on standard output.
    #[track_caller]
    pub fn says_out(self, text: &str) -> Self {
        assert!(
            self.text().contains(text),
            "{}\nwanted: {text}\n-- out\n{}\n-- err\n{}",
            self.shown,
            self.text(),
            self.err
        );
        self
    }

    /// Expects this on standard error.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.err.contains(text),
            "{}\nwanted: {text}\n-- err\n{}",
            self.shown,
            self.err
        );
        self
    }

    /// Expects this nowhere.
    #[track_caller]
    pub fn hides(self, text: &str) -> Self {
        assert!(
            !self.err.contains(text) && !self.text().contains(text),
            "{}\nshows {text}\n{}\n{}",
            self.shown,
            self.text(),
            self.err
        );
        self
    }
}

/// A text in which a few seconds ago is just now: a busy machine takes them.
pub fn just_now(text: &str) -> String {
    (1..10).fold(text.to_owned(), |text, n| {
        text.replace(&format!("{n}s ago"), "0s ago")
    })
}
