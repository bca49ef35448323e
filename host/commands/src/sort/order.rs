//! The order that SORT makes: weights gathered first, then one comparison for each kind of sorting.
//! Always: the same elements with the same weights get the same order, as far as Redis gives them one.

use std::cmp::Ordering;
use std::ops::Range;

use tenon_keyspace::Element;
use tenon_resp::INTEGER_TEXT_BYTES_MAX;

use super::options::Options;
use super::pattern::{Pattern, until_zero};
use super::weight::weight_of;
use crate::partial_sort::sort_part;
use crate::string::string_bytes_max;
use crate::{CommandError, Context};

const NOT_A_NUMBER: CommandError =
    CommandError::text("ERR One or more scores can't be converted into double");

/// What is said where the strings to sort by are so long together that they pass all bounds.
const WEIGHTS_TOO_LONG: CommandError = CommandError::text("ERR the strings to sort by are too long together");

/// The elements in order, as far as they lie in the window.
pub(super) fn sorted<'v>(
    ctx: &mut Context<'_>,
    elements: Vec<Element<'v>>,
    window: Range<usize>,
    options: &Options<'_>,
) -> Result<Vec<Element<'v>>, CommandError> {
    let wanted = Wanted { window, is_descending: options.is_descending, by_others: options.by.is_some() };
    let stores = options.target.is_some();
    match (&options.by, options.is_alpha) {
        (by, false) => {
            let weighed = numbers(ctx, elements, by.as_ref())?;
            Ok(wanted.of(weighed, |left, right| {
                left.1.partial_cmp(&right.1).unwrap_or(Ordering::Equal).then_with(|| texts(left.0, right.0))
            }))
        }
        (None, true) if stores => Ok(wanted.of(unweighed(elements), |left, right| texts(left.0, right.0))),
        (None, true) => Ok(wanted.of(unweighed(elements), |left, right| collate(left.0, right.0))),
        (Some(by), true) => {
            let (weighed, arena) = strings(ctx, elements, by)?;
            let text = |place: &Range<usize>| &arena[place.clone()];
            Ok(wanted.of(weighed, |left, right| match (&left.1, &right.1) {
                (Some(left), Some(right)) if stores => text(left).cmp(text(right)),
                (Some(left), Some(right)) => until_zero(text(left)).cmp(until_zero(text(right))),
                // What has no weight comes first.
                (left, right) => left.is_some().cmp(&right.is_some()),
            }))
        }
    }
}

/// Which part of the result is wanted, and from which end.
struct Wanted {
    window: Range<usize>,
    is_descending: bool,
    /// Other keys tell the order: then only the part that is wanted is sorted.
    by_others: bool,
}

impl Wanted {
    fn of<'v, W>(
        self,
        mut weighed: Vec<(Element<'v>, W)>,
        order: impl Fn(&(Element<'v>, W), &(Element<'v>, W)) -> Ordering,
    ) -> Vec<Element<'v>> {
        let is_descending = self.is_descending;
        let mut compare = |left: &(Element<'v>, W), right: &(Element<'v>, W)| {
            let ordering = order(left, right);
            if is_descending { ordering.reverse() } else { ordering }
        };
        if self.by_others && self.window != (0..weighed.len()) {
            sort_part(&mut weighed, self.window.clone(), &mut compare);
        } else {
            weighed.sort_by(compare);
        }
        weighed[self.window].iter().map(|&(element, _)| element).collect()
    }
}

fn unweighed(elements: Vec<Element<'_>>) -> Vec<(Element<'_>, ())> {
    elements.into_iter().map(|element| (element, ())).collect()
}

/// Elements with numbers: their own, or those that `by` leads to; zero where it leads nowhere.
fn numbers<'v>(
    ctx: &mut Context<'_>,
    elements: Vec<Element<'v>>,
    by: Option<&Pattern<'_>>,
) -> Result<Vec<(Element<'v>, f64)>, CommandError> {
    let mut key = Vec::new();
    let weigh = |element: Element<'v>| {
        let weight = match by {
            None => weight_of(element),
            Some(by) => by.look_up(&mut ctx.db, element, &mut key).map_or(Some(0.0), weight_of),
        };
        Ok((element, weight.ok_or(NOT_A_NUMBER)?))
    };
    elements.into_iter().map(weigh).collect()
}

/// Elements with the places of strings, and the strings one behind the other.
type Strings<'v> = (Vec<(Element<'v>, Option<Range<usize>>)>, Vec<u8>);

/// Elements with the strings that `by` leads to.
fn strings<'v>(
    ctx: &mut Context<'_>,
    elements: Vec<Element<'v>>,
    by: &Pattern<'_>,
) -> Result<Strings<'v>, CommandError> {
    let (mut key, mut arena, bytes_max) = (Vec::new(), Vec::new(), string_bytes_max(ctx));
    let mut weighed = Vec::with_capacity(elements.len());
    for element in elements {
        let start = arena.len();
        let found = by.look_up(&mut ctx.db, element, &mut key);
        let place = found.map(|found| {
            found.write_to(&mut arena);
            start..arena.len()
        });
        // One value may weigh many elements, each of which has it copied.
        if arena.len() > bytes_max {
            return Err(WEIGHTS_TOO_LONG);
        }
        weighed.push((element, place));
    }
    Ok((weighed, arena))
}

/// By all bytes.
pub(super) fn texts(left: Element<'_>, right: Element<'_>) -> Ordering {
    let (mut left_text, mut right_text) = ([0; INTEGER_TEXT_BYTES_MAX], [0; INTEGER_TEXT_BYTES_MAX]);
    left.as_bytes(&mut left_text).cmp(right.as_bytes(&mut right_text))
}

/// By the bytes before the first zero, as `strcoll` compares in the C locale.
fn collate(left: Element<'_>, right: Element<'_>) -> Ordering {
    let (mut left_text, mut right_text) = ([0; INTEGER_TEXT_BYTES_MAX], [0; INTEGER_TEXT_BYTES_MAX]);
    until_zero(left.as_bytes(&mut left_text)).cmp(until_zero(right.as_bytes(&mut right_text)))
}
