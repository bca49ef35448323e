//! The bytes of one file twice: as processes see them, and as the disk has them for certain; between the two, the changes
//! that no fsync has covered.
//! Always: the sure bytes with all changes applied would be what processes see, unless an fsync has failed.

use std::collections::BTreeMap;

use tenon_base::Dice;

/// What reaches the disk as a whole or not at all, unless a loss of power tears it.
const PAGE_BYTES: usize = 4_096;

/// One file, whatever its name.
#[derive(Debug, Default)]
pub(in crate::disk) struct Image {
    content: Vec<u8>,
    sure: Vec<u8>,
    changes: Vec<Change>,
    /// An fsync has failed: what processes see is not what is sure with its changes.
    has_failed: bool,
    /// What is sure is a beginning of what processes see, or was before the file was cut.
    keeps_order: bool,
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
    /// As `End`, but a file may be longer than what is kept of it, with zeros.
    Blank,
    /// Any are, page by page.
    Pages,
}

impl Loss {
    pub(in crate::disk) fn draw(dice: &mut Dice, keeps_order: bool) -> Loss {
        const ALL: [Loss; 6] =
            [Loss::Nothing, Loss::Everything, Loss::End, Loss::Blank, Loss::Pages, Loss::Pages];
        let among = if keeps_order { &ALL[..3] } else { &ALL };
        among[dice.below(among.len() as u64) as usize]
    }

    /// How many of `count` changes are kept that come first, if it goes by that.
    pub(in crate::disk) fn kept(self, count: usize, dice: &mut Dice) -> Option<usize> {
        match self {
            Loss::Nothing => Some(count),
            Loss::Everything => Some(0),
            Loss::End | Loss::Blank => Some(dice.below(count as u64 + 1) as usize),
            Loss::Pages => None,
        }
    }
}

impl Image {
    pub(in crate::disk) fn new(keeps_order: bool) -> Image {
        Image { keeps_order, ..Image::default() }
    }

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
            change.apply(&mut self.sure, self.keeps_order);
        }
    }

    /// An fsync failed: some pages have reached the disk, the others never will, and nobody will be told again.
    pub(in crate::disk) fn fail_sync(&mut self, dice: &mut Dice) {
        let loss = if self.keeps_order { Loss::End } else { Loss::Pages };
        self.keep_some(loss, dice);
        self.has_failed = true;
    }

    /// The process died, and what it saw is written out, whatever has failed before.
    pub(in crate::disk) fn kill(&mut self) {
        if std::mem::take(&mut self.has_failed) {
            self.changes =
                vec![Change::Truncate { bytes: 0 }, Change::Write { at: 0, bytes: self.content.clone() }];
            self.sync();
        }
    }

    /// What is left after a loss of power.
    pub(in crate::disk) fn lose_power(&mut self, loss: Loss, dice: &mut Dice) {
        self.keep_some(loss, dice);
        self.content.clone_from(&self.sure);
        self.has_failed = false;
    }

    fn keep_some(&mut self, loss: Loss, dice: &mut Dice) {
        let changes = std::mem::take(&mut self.changes);
        match loss.kept(changes.len(), dice) {
            None => apply_by_pages(&changes, &mut self.sure, dice),
            Some(kept) => {
                changes[..kept].iter().for_each(|change| change.apply(&mut self.sure, self.keeps_order));
                if let Some(torn) = changes.get(kept).filter(|_| matches!(loss, Loss::End | Loss::Blank)) {
                    torn.apply_torn(&mut self.sure, loss == Loss::Blank, dice);
                }
            }
        }
    }
}

/// Each page is as it was behind one of the changes, whatever the others are; the next change to it may be torn.
fn apply_by_pages(changes: &[Change], sure: &mut Vec<u8>, dice: &mut Dice) {
    let mut pages: BTreeMap<usize, usize> = BTreeMap::new();
    for change in changes {
        match change {
            Change::Truncate { .. } => change.apply(sure, false),
            Change::Write { at, bytes: written } => {
                let mut from = 0;
                while from < written.len() {
                    let page = (at + from) / PAGE_BYTES;
                    let to = written.len().min((page + 1) * PAGE_BYTES - at);
                    // How many changes of this page are kept: all, none, or some.
                    let kept = pages.entry(page).or_insert_with(|| match dice.below(3) {
                        0 => usize::MAX,
                        1 => 0,
                        _ => 1 + dice.below(6) as usize,
                    });
                    match *kept {
                        0 => {}
                        1 => {
                            let torn = from + dice.below((to - from) as u64 + 1) as usize;
                            put(sure, at + from, &written[from..torn]);
                        }
                        _ => put(sure, at + from, &written[from..to]),
                    }
                    *kept = if *kept == usize::MAX { usize::MAX } else { kept.saturating_sub(1) };
                    from = to;
                }
            }
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, keeps_order: bool) {
        match self {
            // What should come before it is lost.
            Change::Write { at, .. } if keeps_order && *at > bytes.len() => {}
            Change::Write { at, bytes: written } => put(bytes, *at, written),
            Change::Truncate { bytes: length } => bytes.resize(*length, 0),
        }
    }

    /// It was in the midst of being written.
    fn apply_torn(&self, bytes: &mut Vec<u8>, is_blank: bool, dice: &mut Dice) {
        let Change::Write { at, bytes: written } = self else { return };
        if !is_blank && *at > bytes.len() {
            return;
        }
        let count = dice.below(written.len() as u64 + 1) as usize;
        put(bytes, *at, &written[..count]);
        if is_blank {
            // The length reached the disk, the rest of the bytes did not.
            let end = at + count + dice.below((written.len() - count) as u64 + 1) as usize;
            bytes.resize(bytes.len().max(end), 0);
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
