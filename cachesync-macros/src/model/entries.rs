//! What `#[cache_evict]` evicts, and when.

use quote::ToTokens;
use syn::{Expr, ExprArray, Type};

use super::{
    Action, bool_of,
    expression::{Expression, Scope, instead, refuse_text},
    key::Key,
};
use crate::{
    arguments::{Argument, Arguments, Name},
    attribute::Attribute,
    function::Function,
    mistakes::Mistakes,
    names::peeled,
};

/// What is evicted.
pub(crate) enum Entries {
    All,
    Of(Key),
    /// Every key of an iterator.
    OfMany(Iteration),
    /// What carries one of these tags.
    Tagged(Vec<Expression>),
}

impl Entries {
    /// The expressions, if they use `result`: what is evicted is then known only after the body.
    pub(crate) fn use_result(&self) -> bool {
        match self {
            Self::All => false,
            Self::Of(key) => key.result.is_some(),
            Self::OfMany(keys) => keys.expression.result.is_some(),
            Self::Tagged(tags) => tags.iter().any(|tag| tag.result.is_some()),
        }
    }
}

/// When it is evicted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Before the body runs.
    Before,
    /// After the body, if it succeeded.
    Succeeded,
    /// After the body, whatever it returned.
    Always,
}

/// An expression to iterate over.
pub(crate) struct Iteration {
    pub(crate) expression: Expression,
    /// It is a place, which the iteration must not take anything from.
    pub(crate) borrowed: bool,
}

impl Iteration {
    /// `None` only after a mistake.
    pub(super) fn check(argument: &Argument, scope: &Scope<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        let expression = scope.check(argument, mistakes)?;
        Some(Self { expression, borrowed: is_place(&argument.value, scope.function) })
    }
}

/// Whether iterating over `expression` itself would move out of a place; what is a reference is copied.
fn is_place(expression: &Expr, function: &Function) -> bool {
    match peeled(expression) {
        Expr::Field(_) | Expr::Index(_) | Expr::Unary(syn::ExprUnary { op: syn::UnOp::Deref(_), .. }) => true,
        Expr::Path(path) => path.path.get_ident().is_some_and(|ident| {
            let is_it = |parameter: &&crate::function::Parameter| parameter.name() == Some(ident);
            let parameter = function.parameters.iter().find(is_it);
            parameter.is_some_and(|parameter| !matches!(parameter.ty, Type::Reference(_)))
        }),
        _ => false,
    }
}

/// What `arguments` of `#[cache_evict]` ask for. `None` only after a mistake.
pub(super) fn check(arguments: &Arguments, function: &Function, mistakes: &mut Mistakes) -> Option<Action> {
    const ATTRIBUTE: Attribute = Attribute::CacheEvict;
    let when = when(arguments, mistakes);
    let unless = bool_of(Name::Unless, None, ATTRIBUTE, arguments, function, mistakes);
    if let (Some(name), Some(When::Before)) = (arguments.written(Name::Unless), when) {
        mistakes.on(
            name,
            "`unless` is evaluated after the body, and `before` evicts before it: remove one of the two, or write \
             `condition`",
        );
    }
    let without_result = (when == Some(When::Before)).then(|| {
        "there is no `result` yet when the key of a `before` is evaluated: remove `before`, or use the parameters"
            .to_owned()
    });
    if !excluded(arguments, mistakes) {
        return None;
    }
    let scope = |what| Scope { attribute: ATTRIBUTE, function, what, without_result: without_result.clone() };
    let entries = if arguments.attempted(Name::All) {
        arguments.flag(Name::All).map(|_| Entries::All)
    } else if arguments.attempted(Name::Keys) {
        arguments.expression(Name::Keys).and_then(|argument| keys(argument, &scope("`keys`"), mistakes))
    } else if arguments.attempted(Name::Tag) {
        arguments.expression(Name::Tag).and_then(|argument| tags(argument, &scope("`tag`"), mistakes))
    } else {
        let key = Key::check(ATTRIBUTE, arguments, function, mistakes);
        if let (Some(result), Some(message)) = (key.as_ref().and_then(|key| key.result.as_ref()), &without_result) {
            mistakes.at(result.span(), message);
        }
        key.map(Entries::Of)
    };
    Some(Action::Evict { entries: entries?, when: when?, unless: unless.ok()? })
}

fn when(arguments: &Arguments, mistakes: &mut Mistakes) -> Option<When> {
    match (arguments.flag(Name::Before), arguments.flag(Name::Always)) {
        (Some(_), Some(name)) => {
            mistakes.on(name, "`before` evicts whatever the function will return: remove `always`");
            None
        }
        (Some(_), None) => Some(When::Before),
        (None, Some(_)) => Some(When::Always),
        (None, None) => Some(When::Succeeded),
    }
}

/// Refuses two ways to say what is evicted. Whether there is one.
fn excluded(arguments: &Arguments, mistakes: &mut Mistakes) -> bool {
    let ways = [(Name::All, "every key of the cache"), (Name::Keys, "many keys"), (Name::Tag, "by tags")];
    let others = [Name::Key, Name::Keys, Name::Tag, Name::Skip];
    let Some((way, what)) = ways.into_iter().find(|(name, _)| arguments.written(*name).is_some()) else { return true };
    let mut good = true;
    for name in others.into_iter().filter(|name| *name != way).filter_map(|name| arguments.written(name)) {
        let way = way.text();
        mistakes.on(name, format_args!("`{way}` evicts {what}: remove `{name}`, or `{way}`"));
        good = false;
    }
    good
}

fn keys(argument: &Argument, scope: &Scope<'_>, mistakes: &mut Mistakes) -> Option<Entries> {
    let Argument { name, value, .. } = argument;
    if !refuse_text(value, name, "`keys`", mistakes) {
        return None;
    }
    match peeled(value) {
        Expr::Array(ExprArray { elems, .. }) if elems.is_empty() => {
            mistakes.on(value, "this list has no key: add one, or write `all` for every key");
            None
        }
        Expr::Tuple(_) | Expr::Lit(_) | Expr::Closure(_) => {
            mistakes.on(
                value,
                format_args!(
                    "`keys` is something to iterate over: write `keys = [...]` or `keys = ids.iter().map(...)`, or `key = \
                     ...` for one ({})",
                    instead(scope.function)
                ),
            );
            None
        }
        _ => Iteration::check(argument, scope, mistakes).map(Entries::OfMany),
    }
}

fn tags(argument: &Argument, scope: &Scope<'_>, mistakes: &mut Mistakes) -> Option<Entries> {
    let value = &argument.value;
    match peeled(value) {
        Expr::Array(ExprArray { elems, .. }) if elems.is_empty() => {
            mistakes.on(value, "this list has no tag: add one, or write `all` for every key");
            None
        }
        Expr::Array(ExprArray { elems, .. }) => {
            let tags: Vec<_> = elems.iter().map(|element| scope.expression(element, mistakes)).collect();
            tags.into_iter().collect::<Option<Vec<_>>>().map(Entries::Tagged)
        }
        Expr::Closure(closure) => {
            mistakes.on(
                value,
                format_args!(
                    "`tag` is an expression, not a closure: write `tag = {}`; what was returned is `result`",
                    closure.body.to_token_stream()
                ),
            );
            None
        }
        _ => scope.check(argument, mistakes).map(|tag| Entries::Tagged(vec![tag])),
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;
    use crate::attribute::mistakes_in;

    fn messages(arguments: &proc_macro2::TokenStream) -> Vec<String> {
        let item = quote!(
            async fn save(id: u64, ids: Vec<u64>) -> Result<User, ()> {}
        );
        mistakes_in(Attribute::CacheEvict, quote!(cache = "a", #arguments), item)
    }

    #[test]
    fn every_way_to_say_what_is_evicted_is_accepted_alone() {
        for good in [
            quote!(key = id),
            quote!(skip(ids)),
            quote!(all),
            quote!(keys = ids),
            quote!(keys = ids.iter().map(|id| (id, result.tenant)), always),
            quote!(keys = [id, id + 1], before),
            quote!(tag = "all", before),
            quote!(tag = format!("team:{}", result.team), unless = result.is_new()),
            quote!(tag = ["a", id], condition = id > 3),
        ] {
            assert_eq!(messages(&good), [""; 0], "{good}");
        }
    }

    #[test]
    fn arguments_that_exclude_each_other_are_refused() {
        for (bad, says) in [
            (quote!(all, key = id), "remove `key`, or `all`"),
            (quote!(all, skip(id)), "remove `skip`, or `all`"),
            (quote!(all, tag = id), "remove `tag`, or `all`"),
            (quote!(keys = ids, key = id), "remove `key`, or `keys`"),
            (quote!(keys = ids, tag = id), "remove `tag`, or `keys`"),
            (quote!(tag = id, key = id), "remove `key`, or `tag`"),
            (quote!(before, always, key = id), "remove `always`"),
            (quote!(before, unless = id > 3, key = id), "or write `condition`"),
            (quote!(before, key = result), "remove `before`"),
            (quote!(before, keys = result.ids), "remove `before`"),
            (quote!(before, tag = result.team), "remove `before`"),
            (quote!(key = id, skip(id)), "remove one of the two"),
        ] {
            let messages = messages(&bad);
            assert!(matches!(&*messages, [message] if message.contains(says)), "{bad}: {messages:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_keys_or_tags_is_refused() {
        for (bad, says) in [
            (quote!(keys = []), "add one"),
            (quote!(tag = []), "add one"),
            (quote!(keys = "ids"), "write `keys = ids`"),
            (quote!(keys = (id, 3)), "something to iterate over"),
            (quote!(keys = 3), "something to iterate over"),
            (quote!(keys = |id| id), "something to iterate over"),
            (quote!(tag = |user| user.id), "write `tag = user . id`"),
            (quote!(keys = idd), "`idd` is not a parameter"),
        ] {
            let messages = messages(&bad);
            assert!(matches!(&*messages, [message] if message.contains(says)), "{bad}: {messages:?}");
        }
    }

    #[test]
    fn a_place_is_iterated_over_by_reference() {
        let item = quote!(
            async fn save(owned: Vec<u64>, slice: &[u64], user: User) {}
        );
        let function = Function::parse(item, Attribute::CacheEvict, None).expect("a function");
        for (expression, expected) in [
            (quote!(owned), true),
            (quote!((user.ids)), true),
            (quote!(slice[1..]), true),
            (quote!(*slice), true),
            (quote!(slice), false),
            (quote!(result), false),
            (quote!(IDS), false),
            (quote!(owned.iter()), false),
        ] {
            let parsed = syn::parse2(expression.clone()).expect("an expression");
            assert_eq!(is_place(&parsed, &function), expected, "{expression}");
        }
    }
}
