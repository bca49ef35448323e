//! Every field of a hash with its value, whichever form the hash has.

use crate::MemberIter;
use crate::listpack::{Element, Pairs};

/// See [`crate::Hash::iter`].
#[derive(Clone)]
pub struct HashIter<'a> {
    form: Form<'a>,
}

#[derive(Clone)]
enum Form<'a> {
    Compact { pairs: Pairs<'a>, rest: usize },
    Large(MemberIter<'a>),
}

impl<'a> HashIter<'a> {
    pub(super) fn over_pairs(pairs: Pairs<'a>, rest: usize) -> HashIter<'a> {
        HashIter { form: Form::Compact { pairs, rest } }
    }

    pub(super) fn over_members(members: MemberIter<'a>) -> HashIter<'a> {
        HashIter { form: Form::Large(members) }
    }
}

impl<'a> Iterator for HashIter<'a> {
    type Item = (Element<'a>, Element<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.form {
            Form::Compact { pairs, rest } => {
                let pair = pairs.next()?;
                *rest -= 1;
                Some(pair)
            }
            Form::Large(members) => {
                members.next().map(|(field, value)| (Element::Bytes(field), Element::Bytes(value)))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.form {
            Form::Compact { rest, .. } => (*rest, Some(*rest)),
            Form::Large(members) => members.size_hint(),
        }
    }
}

impl ExactSizeIterator for HashIter<'_> {}
