//! The encrypted store in the project's own folder: `.secrets/ENV.age`, one signed document an
//! environment, sealed in the age format to the people of `.secrets/recipients.toml`. Safe to
//! commit: opening takes an identity, and a document counts only if somebody who is known on this
//! machine has signed it.
//!
//! | module | what |
//! | --- | --- |
//! | `identity` | the one private key a person keeps, and what follows from it |
//! | `team` | `recipients.toml`: who is sealed to, who may sign |
//! | `seal` | bytes to an age file and back |
//! | `envelope` | the signature around a document |
//! | `document` | values, versions, generation |
//! | `pins` | what this machine has seen: people, generations |
//! | `inside` | a file of the folder, never behind a link |
//! | `place` | the folder with what this machine remembers of it |
//! | `folder` | the whole folder: make it, change the team, review and accept |
//! | `sealer` | who seals a document, to whom, as which generation |
//! | `provider` | one document as a store |
//! | `unite` | two branches of a document become one, name by name: pure |
//! | `merge` | the same for sealed files, with all that is asked of them before |
//! | `describe` | what a sealed file says, to be shown and not used |

mod describe;
mod document;
mod envelope;
mod folder;
mod hex;
mod identity;
mod inside;
mod merge;
mod open;
mod pins;
mod place;
mod provider;
mod seal;
mod sealer;
mod ssh;
mod team;
mod unite;

pub use describe::{Described, Description, People};
pub use folder::{Created, Folder, Removed, Resealed, Review};
pub use identity::Identity;
pub use merge::Merged;
pub use provider::{SCHEME, open};
pub use seal::check_recipient;
pub use team::{Member, REPLACED, Team};
pub use unite::{Clash, Held, Pick, Side, Sides};
