//! `secrets` generates, keeps, shares and injects the secrets of a Django site.
//!
//! # The code map
//!
//! | where | what | must never |
//! | --- | --- | --- |
//! | [`cli`] | clap: the command line as a whole, the list of verbs | do anything |
//! | [`flags`] | clap: flags that several verbs have | do anything |
//! | [`commands`] | one verb a file: its arguments beside its `run` | print but through [`printer`] |
//! | [`settings`] | flags, environment and manifest, resolved once into plain data | open a store |
//! | [`manifest`] | `secrets.toml`: find, parse, edit, trust | hold a value |
//! | `links` | files that have several names, of which one is written | |
//! | `own_files` | files that are no store: the manifest, git's own, the encrypted store's | go by how a path is written |
//! | [`session`] | one run: what surrounds it, who prints, the stores it opens | |
//! | [`stack`] | the opened layers of an environment: read at once, merged, written one by one | |
//! | [`layers`] | retry, timeout, concurrency limit and trace around every provider | be repeated elsewhere |
//! | [`plan`] | what a sync would do: a pure three-way merge | do I/O; ask a clock; see a value |
//! | [`base`] | what two stores held when they last agreed: fingerprints and versions | hold a value; guess |
//! | [`apply`] | carries a sync out: observes, writes with preconditions, remembers | replay; write unasked |
//! | [`sync`] | what the verbs of sync share: parties, showing, deciding, reports | |
//! | `drivers` | git's merge and diff drivers for the encrypted store | run what a repository names |
//! | `leases` | credentials that a store issues for a time | issue one but for `exec` |
//! | [`exec`] | the child's environment, and names that hijack a process | start a second process |
//! | [`generate`] | kinds of credentials, drawn without bias | use `%` on a random number |
//! | [`django`] | a Django project as `init` needs to know it | run the project's code |
//! | [`formats`] | what `export` writes and `import` reads | guess |
//! | `providers/dotenv` | `.env` files: eleven dialects, six grammars, lossless edits | run a command; ask our environment |
//! | [`identity`] | where the identity and the machine's key are | make a second identity |
//! | [`credentials`] | where the credentials of stores' logins are kept | print what it fetches |
//! | [`registry`] | the providers, one line each | |
//! | [`printer`] | the only place that prints, asks and draws | |
//! | `providers/api` | the trait, `SecretValue`, `Name`, errors | do I/O |
//! | `providers/net` | what providers share that speak over a network: addresses, TLS, documents | retry; follow a redirect |
//! | `providers/platform` | files, process, scratch: all that differs by operating system | follow a path it was not given |
//! | `providers/testkit` | the conformance suite, and wrappers that must fail it | |
//!
//! A provider is one folder, one optional dependency and one line of the registry.
//!
//! # The promises, and the test that fails without each
//!
//! | promise | test |
//! | --- | --- |
//! | 1 no value in argv, logs, errors, temporary files | `tests/program/canary.rs`; each provider's conformance suite |
//! | 2 files are written whole or not at all | `providers/platform/tests/` |
//! | 3 nobody's write is discarded | the conformance suite's preconditions and races; `tests/program/set_get.rs` |
//! | 4 nothing is said that was not acknowledged | `layers` tests, with stores that lose answers; `tests/network/losses.rs`, `cluster.rs` |
//! | 5 the process is shut, the child is not | `tests/program/exec.rs` |
//! | 6 hijacking names are refused | `tests/program/exec.rs`, `exec::hijack` |
//! | 7 TLS is verified | `providers/net` (addresses); `providers/vault/tests/openbao/trust.rs`, `providers/azure/tests/network.rs`; one TLS stack: `tests/program/house.rs` |
//! | 8 `exec` stops before the child starts | `tests/program/exec.rs` |
//! | 9 a terminal is shown no value | `tests/program/terminal.rs` |

#![allow(
    unreachable_pub,
    reason = "this library is one program's: `pub` here means beyond a module"
)]

pub mod age;
pub mod apply;
pub mod base;
pub mod choice;
pub mod cli;
pub mod commands;
mod consent;
pub mod credentials;
pub mod django;
#[cfg(feature = "local")]
mod drivers;
pub mod exec;
pub mod exit;
pub mod flags;
pub mod formats;
pub mod generate;
pub mod identity;
pub mod layers;
mod leases;
mod links;
pub mod manifest;
mod missing;
mod own_files;
pub mod plan;
pub mod printer;
pub mod registry;
mod resolve;
mod run;
pub mod session;
pub mod settings;
mod shell;
pub mod stack;
mod suggest;
pub mod surroundings;
pub mod sync;
pub mod variables;

pub use run::run;
