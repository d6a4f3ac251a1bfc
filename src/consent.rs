//! Asking before something is changed, the same way in every verb.

use crate::exit::{Exit, Failure, Result};
use crate::flags::Consent;
use crate::session::Session;

impl Consent {
    /// Whether to go on with what `question` describes. `needed` says whether it takes a person's
    /// word at all; a dry run never goes on and says so.
    ///
    /// # Errors
    /// If the answer is no, or there is nobody to answer and `--yes` was not given.
    pub fn given(&self, session: &Session, needed: bool, question: &str) -> Result<bool> {
        if self.dry_run {
            session
                .printer
                .say(format!("would {question}; nothing was changed"));
            return Ok(false);
        }
        if self.yes || !needed || session.printer.confirm(&format!("{question}?"), "--yes")? {
            return Ok(true);
        }
        Err(Failure::new(Exit::Failed, "nothing was changed"))
    }
}
