//! Pieces of long work that a thread makes ahead of the one that takes them: a file is read and taken apart on one
//! processor while its keys are taken in on another.
//! Always: at most [`PIECES_AHEAD`] wait, so that memory is bounded by what a piece may hold; whoever takes them never
//! waits long; the thread ends when nobody takes any more, at the next piece at the latest.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{Builder, JoinHandle, available_parallelism};
use std::time::Duration;

use tenon_base::{NextPiece, Pieces};

/// Made and not taken.
const PIECES_AHEAD: usize = 4;
/// How long the taker waits before it sees to others.
const PATIENCE: Duration = Duration::from_millis(2);

/// The taker's end.
struct Ahead {
    ready: Receiver<NextPiece>,
    /// `None` once its end was told.
    maker: Option<JoinHandle<()>>,
}

/// The same pieces, made by a thread of their own where there is a processor for it.
pub(crate) fn made_ahead(mut pieces: Box<dyn Pieces>) -> Box<dyn Pieces> {
    if available_parallelism().map_or(1, usize::from) < 2 {
        return pieces;
    }
    let (sender, ready) = sync_channel(PIECES_AHEAD);
    let make = move || {
        loop {
            let piece = pieces.next();
            let is_over = matches!(piece, NextPiece::Over);
            if sender.send(piece).is_err() || is_over {
                return;
            }
        }
    };
    let maker = Builder::new().name("ahead".to_owned()).spawn(make).expect("the system starts a thread");
    Box::new(Ahead { ready, maker: Some(maker) })
}

impl Pieces for Ahead {
    fn next(&mut self) -> NextPiece {
        match self.ready.recv_timeout(PATIENCE) {
            Ok(piece) => piece,
            Err(RecvTimeoutError::Timeout) => NextPiece::NotYet,
            Err(RecvTimeoutError::Disconnected) => {
                // Whatever the maker ended with is this thread's affair, as if it had made the pieces itself.
                if let Some(Err(panic)) = self.maker.take().map(JoinHandle::join) {
                    resume_unwind(panic);
                }
                NextPiece::Over
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many numbers, counted down; it panics at one of them.
    struct Countdown {
        left: usize,
        panics_at: usize,
    }

    impl Pieces for Countdown {
        fn next(&mut self) -> NextPiece {
            if self.left == 0 {
                return NextPiece::Over;
            }
            assert_ne!(self.left, self.panics_at, "a piece that cannot be made");
            self.left -= 1;
            NextPiece::Piece(Box::new(self.left))
        }
    }

    fn numbers(pieces: &mut dyn Pieces) -> Vec<usize> {
        let mut numbers = Vec::new();
        loop {
            match pieces.next() {
                NextPiece::Piece(piece) => numbers.push(*piece.downcast().expect("a number")),
                NextPiece::NotYet => {}
                NextPiece::Over => return numbers,
            }
        }
    }

    #[test]
    fn pieces_come_in_their_order_and_end() {
        let mut pieces = made_ahead(Box::new(Countdown { left: 100, panics_at: usize::MAX }));
        assert_eq!(numbers(&mut *pieces), (0..100).rev().collect::<Vec<_>>());
        assert!(matches!(pieces.next(), NextPiece::Over), "and nothing comes behind the end");
    }

    #[test]
    fn a_panic_reaches_whoever_takes_the_pieces() {
        let taken = std::panic::catch_unwind(|| {
            numbers(&mut *made_ahead(Box::new(Countdown { left: 9, panics_at: 3 })))
        });
        assert!(taken.is_err());
    }

    #[test]
    fn a_taker_that_leaves_ends_the_maker() {
        let mut pieces = made_ahead(Box::new(Countdown { left: usize::MAX, panics_at: 0 }));
        assert!(matches!(pieces.next(), NextPiece::Piece(_) | NextPiece::NotYet));
        drop(pieces);
    }
}
