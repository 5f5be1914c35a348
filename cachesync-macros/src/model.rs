//! What the arguments mean together: a use of an attribute, checked.

mod batch;
mod caches;
mod entries;
pub(crate) mod expression;
pub(crate) mod key;
mod policy;
mod returns;

use proc_macro2::Ident;
use syn::{Expr, ExprLit, Lit, Path, parse_quote};

pub(crate) use self::{
    batch::{Batch, Element},
    caches::{Cache, of as caches_of},
    entries::{Entries, Iteration, When},
    policy::{Life, Policy, Tags, check_ttl},
    returns::looks_generic,
};
use self::{
    expression::{Expression, Scope, refuse_closure, refuse_self, refuse_text},
    key::Key,
    returns::Returns,
};
use crate::{
    arguments::{Argument, Arguments, Name},
    attribute::Attribute,
    function::Function,
    leaving,
    mistakes::{Mistakes, Refused},
    names::{Values, peeled},
};

/// A use of an attribute in which no mistake was found: all that the expansion needs.
pub(crate) struct Use {
    /// The crate, by the path under which the user knows it.
    pub(crate) krate: Path,
    pub(crate) caches: Vec<Cache>,
    pub(crate) registry: Option<Expr>,
    pub(crate) transaction: Option<Expr>,
    pub(crate) requires_transaction: bool,
    /// Without it the attribute is as if it were not there.
    pub(crate) condition: Option<Expression>,
    /// The whole return value is what counts, not what is in its `Ok` or `Some`.
    pub(crate) cache_value: bool,
    pub(crate) function: Function,
    pub(crate) returns: Returns,
    pub(crate) action: Action,
}

/// What the annotated function does to the cache.
pub(crate) enum Action {
    Load { key: Key, policy: Box<Policy> },
    LoadMany { batch: Box<Batch>, policy: Box<Policy> },
    Put { key: Key, policy: Box<Policy> },
    Evict { entries: Entries, when: When, unless: Option<Expression> },
}

impl Use {
    /// Holds the arguments against the function and each other. `None` only after a mistake.
    pub(crate) fn check(
        attribute: Attribute,
        arguments: Arguments,
        function: Function,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        function.check(attribute, mistakes);
        let caches = caches::check(attribute, &arguments, mistakes);
        let cache_value = arguments.flag(Name::CacheValue).is_some();
        let is_batch = attribute == Attribute::Cacheable && arguments.attempted(Name::Keys);
        let returns = Returns::check(attribute, &function, cache_value, is_batch, mistakes);
        let condition = condition(attribute, &arguments, &function, mistakes);
        let action = action(attribute, &arguments, &function, mistakes);
        let registry = place(&arguments, Name::Registry, "name a registry that is always there", &function, mistakes);
        let transaction =
            place(&arguments, Name::Transaction, "name a transaction that is always there", &function, mistakes);
        if let (Some(Action::LoadMany { .. }), Some([_, _, ..])) = (&action, caches.as_deref()) {
            let blamed: &Ident = arguments.written(Name::Cache).or(arguments.written(Name::Keys))?;
            mistakes.on(blamed, "`keys` goes with one cache, and this is a list: write `cache = \"...\"`");
        }
        Some(Self {
            requires_transaction: arguments.flag(Name::RequiresTransaction).is_some(),
            krate: arguments.krate.map_or_else(|| parse_quote!(::cachesync), |krate| krate.value),
            caches: caches?,
            registry: registry.ok()?,
            transaction: transaction.ok()?,
            condition: condition.ok()?,
            cache_value,
            function,
            returns: returns?,
            action: action?,
        })
    }

    /// The type of what the caller has in the end.
    pub(crate) fn output(&self) -> &syn::Type {
        &self.returns.ty
    }
}

fn action(attribute: Attribute, arguments: &Arguments, function: &Function, mistakes: &mut Mistakes) -> Option<Action> {
    match attribute {
        Attribute::Cacheable if arguments.attempted(Name::Keys) => {
            let policy = Policy::check(attribute, arguments, function, None, mistakes);
            let batch = Batch::check(arguments, function, mistakes);
            Some(Action::LoadMany { batch: Box::new(batch?), policy: Box::new(policy?) })
        }
        Attribute::Cacheable => {
            let policy = Policy::check(attribute, arguments, function, None, mistakes);
            let key = Key::check(attribute, arguments, function, mistakes);
            Some(Action::Load { key: key?, policy: Box::new(policy?) })
        }
        Attribute::CachePut => {
            let key = Key::check(attribute, arguments, function, mistakes);
            let policy = Policy::check(attribute, arguments, function, key.as_ref(), mistakes);
            Some(Action::Put { key: key?, policy: Box::new(policy?) })
        }
        Attribute::CacheEvict | Attribute::CacheConfig => entries::check(arguments, function, mistakes),
    }
}

/// `condition`, if there is one.
fn condition(
    attribute: Attribute,
    arguments: &Arguments,
    function: &Function,
    mistakes: &mut Mistakes,
) -> Result<Option<Expression>, Refused> {
    let without_result = "there is no `result` yet when `condition` is evaluated: use `unless`, which is evaluated after \
                          the body (and says the opposite)";
    bool_of(Name::Condition, Some(without_result.into()), attribute, arguments, function, mistakes)
}

/// An argument that is a `bool`, if there is one.
fn bool_of(
    name: Name,
    without_result: Option<String>,
    attribute: Attribute,
    arguments: &Arguments,
    function: &Function,
    mistakes: &mut Mistakes,
) -> Result<Option<Expression>, Refused> {
    optional(arguments, name, |argument| {
        let what = format!("`{}`", name.text());
        if is_null_check(&argument.value) {
            mistakes.on(
                &argument.value,
                format_args!("a `None` is kept only with `cache_none`: remove `{}`", argument.name),
            );
            return None;
        }
        let is_code = refuse_text(&argument.value, &argument.name, &what, mistakes)
            && refuse_closure(&argument.value, &argument.name, mistakes);
        let scope = Scope { attribute, function, what: &what, without_result };
        if is_code { scope.check(argument, mistakes) } else { None }
    })
}

/// Whether it is what Spring's annotations say to keep no `null`: `"#result == null"`.
fn is_null_check(expression: &Expr) -> bool {
    let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = peeled(expression) else { return false };
    text.value().replace(' ', "") == "#result==null"
}

/// The expression of a registry or a transaction, if there is one; names in it may be of items too.
fn place(
    arguments: &Arguments,
    name: Name,
    instead: &str,
    function: &Function,
    mistakes: &mut Mistakes,
) -> Result<Option<Expr>, Refused> {
    optional(arguments, name, |argument| {
        if let Expr::Lit(_) = peeled(&argument.value) {
            let what = if name == Name::Registry { "a `Registry`" } else { "a `Transaction`" };
            mistakes.on(
                &argument.value,
                format_args!("`{}` is {what}, or a reference to one: write `{}`", argument.name, name.example()),
            );
            return None;
        }
        let stays = leaving::refuse(&argument.value, &format!("`{}`", name.text()), instead, mistakes);
        let has_self = refuse_self(argument, &Values::of(&argument.value), function, mistakes);
        (stays && has_self).then(|| argument.value.clone())
    })
}

/// What `check` makes of an argument that may be left out; it returns `None` only after a mistake.
fn optional<T>(
    arguments: &Arguments,
    name: Name,
    check: impl FnOnce(&Argument) -> Option<T>,
) -> Result<Option<T>, Refused> {
    arguments.expression(name).map(|argument| check(argument).ok_or(Refused)).transpose()
}

#[cfg(test)]
mod tests {
    use proc_macro2::TokenStream;
    use quote::quote;

    use crate::attribute::{Attribute, mistakes_in};

    fn on_save(arguments: TokenStream) -> Vec<String> {
        let item = quote!(
            async fn save(id: u64) -> Result<u64, ()> {
                Ok(id)
            }
        );
        mistakes_in(Attribute::CacheEvict, arguments, item)
    }

    #[test]
    fn arguments_that_belong_together_are_accepted() {
        for good in [
            quote!(cache = "a"),
            quote!(cache = ["a", B], all),
            quote!(cache = "a", all, always, cache_value),
            quote!(cache = "a", all, before, condition = id > 3),
            quote!(cache = "a", key = result, always, unless = *result == 3),
            quote!(cache = "a", key = id, before, registry = REGISTRY, crate = a::b),
            quote!(cache = "a", key = id, transaction = transaction, requires_transaction),
        ] {
            assert_eq!(on_save(good.clone()), [""; 0], "{good}");
        }
    }

    #[test]
    fn neither_a_registry_nor_a_transaction_leaves_the_function() {
        for (argument, starts) in [
            (quote!(registry = registry()?), "`?` in `registry`"),
            (quote!(transaction = transaction()?), "`?` in `transaction`"),
        ] {
            let messages = on_save(quote!(cache = "a", #argument));
            assert!(matches!(&*messages, [message] if message.starts_with(starts)), "{messages:?}");
        }
    }

    #[test]
    fn a_default_that_uses_self_needs_a_function_that_has_it() {
        let block = quote::format_ident!("{}", crate::block::HIDDEN);
        for default in [quote!(registry = self.registry), quote!(transaction = self.tx)] {
            let messages = on_save(quote!(#block [[] [] [] [#default]], cache = "a"));
            assert!(matches!(&*messages, [message] if message.starts_with("`save` has no `self`")), "{messages:?}");
        }
    }
}
