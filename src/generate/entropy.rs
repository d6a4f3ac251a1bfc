//! Random bytes of the operating system, fetched in blocks and wiped when used up.

use rand::TryRng as _;
use rand::rngs::SysRng;
use secrets_api::Zeroizing;

use super::Refused;

/// The first block: enough for one credential, so that a single one costs one small call.
const FIRST: usize = 256;
/// Later blocks: for many.
const LATER: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Entropy {
    block: Zeroizing<Vec<u8>>,
    at: usize,
}

impl Entropy {
    pub(super) fn new() -> Self {
        Self {
            block: Zeroizing::new(Vec::new()),
            at: 0,
        }
    }

    /// One random byte.
    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Refused> {
        if self.at == self.block.len() {
            self.refill()?;
        }
        let byte = std::mem::take(&mut self.block[self.at]);
        self.at += 1;
        Ok(byte)
    }

    /// Random bytes.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Refused> {
        for byte in bytes {
            *byte = self.byte()?;
        }
        Ok(())
    }

    /// A number below `end`, each with the same chance: as many random bits as `end` needs, drawn
    /// again while they say more.
    ///
    /// `end` is at least 1 and at most 65,536.
    #[inline]
    pub(super) fn below(&mut self, end: usize) -> Result<usize, Refused> {
        let mask = end.next_power_of_two() - 1;
        loop {
            let low = usize::from(self.byte()?);
            let high = if mask > 0xff {
                usize::from(self.byte()?)
            } else {
                0
            };
            let drawn = ((high << 8) | low) & mask;
            if drawn < end {
                return Ok(drawn);
            }
        }
    }

    #[cold]
    fn refill(&mut self) -> Result<(), Refused> {
        let size = if self.block.is_empty() { FIRST } else { LATER };
        if self.block.len() != size {
            self.block = Zeroizing::new(vec![0; size]);
        }
        SysRng
            .try_fill_bytes(&mut self.block)
            .map_err(|e| Refused {
                message: format!("the operating system gives no entropy: {e}"),
                hint: None,
            })?;
        self.at = 0;
        Ok(())
    }
}
