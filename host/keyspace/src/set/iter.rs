//! Every member of a set, whichever form the set has.

use crate::listpack::{self, Element, Listpack};
use crate::{Intset, MemberIter};

/// See [`crate::Set::iter`].
#[derive(Clone)]
pub struct SetIter<'a> {
    form: Form<'a>,
}

#[derive(Clone)]
enum Form<'a> {
    Integers { intset: &'a Intset, next: usize },
    Compact { elements: listpack::Iter<'a>, rest: usize },
    Large(MemberIter<'a>),
}

impl<'a> SetIter<'a> {
    pub(super) fn over_integers(intset: &'a Intset) -> SetIter<'a> {
        SetIter { form: Form::Integers { intset, next: 0 } }
    }

    pub(super) fn over_listpack(listpack: &'a Listpack) -> SetIter<'a> {
        SetIter { form: Form::Compact { elements: listpack.iter(), rest: listpack.len() } }
    }

    pub(super) fn over_members(members: MemberIter<'a>) -> SetIter<'a> {
        SetIter { form: Form::Large(members) }
    }
}

impl<'a> Iterator for SetIter<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        match &mut self.form {
            Form::Integers { intset, next } => {
                let integer = intset.get(*next)?;
                *next += 1;
                Some(Element::Integer(integer))
            }
            Form::Compact { elements, rest } => {
                let element = elements.next()?;
                *rest -= 1;
                Some(element)
            }
            Form::Large(members) => members.next().map(|(member, _)| Element::Bytes(member)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let rest = match &self.form {
            Form::Integers { intset, next } => intset.len() - next,
            Form::Compact { rest, .. } => *rest,
            Form::Large(members) => members.len(),
        };
        (rest, Some(rest))
    }
}

impl ExactSizeIterator for SetIter<'_> {}
