//! The bytes of one file twice: as processes see them, and as the disk has them for certain; between the two, the changes
//! that no fsync has covered.
//! Always: the sure bytes with all changes applied would be what processes see, unless an fsync has failed.

use tenon_base::Dice;

/// What reaches the disk as a whole or not at all, unless a loss of power tears it.
const PAGE_BYTES: usize = 4_096;

/// One file, whatever its name.
#[derive(Debug, Default)]
pub(in crate::disk) struct Image {
    content: Vec<u8>,
    sure: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate { bytes: usize },
}

/// How a loss of power takes changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) enum Loss {
    /// None is lost.
    Nothing,
    /// All are.
    Everything,
    /// The last ones are.
    End,
    /// Any are, page by page.
    Pages,
}

impl Loss {
    pub(in crate::disk) fn draw(dice: &mut Dice) -> Loss {
        [Loss::Nothing, Loss::Everything, Loss::End, Loss::End, Loss::Pages, Loss::Pages]
            [dice.below(6) as usize]
    }

    /// How many of `count` changes are kept that come first, if it goes by that.
    pub(in crate::disk) fn kept(self, count: usize, dice: &mut Dice) -> Option<usize> {
        match self {
            Loss::Nothing => Some(count),
            Loss::Everything => Some(0),
            Loss::End => Some(dice.below(count as u64 + 1) as usize),
            Loss::Pages => None,
        }
    }
}

impl Image {
    pub(in crate::disk) fn content(&self) -> &[u8] {
        &self.content
    }

    pub(in crate::disk) fn append(&mut self, bytes: &[u8]) {
        self.write(self.content.len(), bytes);
    }

    pub(in crate::disk) fn write(&mut self, at: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        put(&mut self.content, at, bytes);
        self.changes.push(Change::Write { at, bytes: bytes.to_vec() });
    }

    pub(in crate::disk) fn truncate(&mut self, bytes: usize) {
        self.content.resize(bytes, 0);
        self.changes.push(Change::Truncate { bytes });
    }

    /// An fsync succeeded.
    pub(in crate::disk) fn sync(&mut self) {
        for change in self.changes.drain(..) {
            change.apply(&mut self.sure);
        }
    }

    /// An fsync failed: some pages have reached the disk, the others never will, and nobody will be told again.
    pub(in crate::disk) fn fail_sync(&mut self, dice: &mut Dice) {
        for change in std::mem::take(&mut self.changes) {
            change.apply_some(&mut self.sure, dice);
        }
    }

    /// What is left after a loss of power.
    pub(in crate::disk) fn lose_power(&mut self, loss: Loss, dice: &mut Dice) {
        let changes = std::mem::take(&mut self.changes);
        let kept = loss.kept(changes.len(), dice);
        for (index, change) in changes.iter().enumerate() {
            match kept {
                Some(kept) if index < kept => change.apply(&mut self.sure),
                Some(kept) if index == kept && loss == Loss::End => change.apply_torn(&mut self.sure, dice),
                Some(_) => {}
                None => change.apply_some(&mut self.sure, dice),
            }
        }
        self.content.clone_from(&self.sure);
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write { at, bytes: written } => put(bytes, *at, written),
            Change::Truncate { bytes: length } => bytes.resize(*length, 0),
        }
    }

    /// It was in the midst of being written.
    fn apply_torn(&self, bytes: &mut Vec<u8>, dice: &mut Dice) {
        let Change::Write { at, bytes: written } = self else { return };
        let count = dice.below(written.len() as u64 + 1) as usize;
        put(bytes, *at, &written[..count]);
        if dice.below(4) == 0 {
            // The length reached the disk, the rest of the bytes did not.
            let end = at + count + dice.below((written.len() - count) as u64 + 1) as usize;
            bytes.resize(bytes.len().max(end), 0);
        }
    }

    /// Each page for itself, and one of them torn.
    fn apply_some(&self, bytes: &mut Vec<u8>, dice: &mut Dice) {
        let Change::Write { at, bytes: written } = self else {
            if dice.below(2) == 0 {
                self.apply(bytes);
            }
            return;
        };
        let mut from = 0;
        while from < written.len() {
            let to = written.len().min((at + from) / PAGE_BYTES * PAGE_BYTES + PAGE_BYTES - at);
            match dice.below(8) {
                0..=3 => put(bytes, at + from, &written[from..to]),
                4 => {
                    let torn = from + dice.below((to - from) as u64) as usize;
                    put(bytes, at + from, &written[from..torn]);
                }
                _ => {}
            }
            from = to;
        }
    }
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = at + bytes.len();
    content.resize(content.len().max(end), 0);
    content[at..end].copy_from_slice(bytes);
}
