//! What `diff`, `status`, `sync`, `push` and `pull` share: from words to parties, how a plan is shown, who
//! decides, what is reported. The work itself is done in [`crate::apply`].

pub mod auto;
pub mod desk;
pub mod end;
pub mod json;
pub mod line;
pub mod parties;
pub mod request;
pub mod sameness;
pub mod show;
