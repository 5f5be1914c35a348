//! How long a value is kept, under which tags, and what else than values is kept.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::{Expr, ExprArray, ExprClosure, ExprLit, Lit, LitStr, Path};

use super::{
    bool_of,
    entries::Iteration,
    expression::{Expression, Scope},
    key::Key,
    optional,
};
use crate::{
    arguments::{Argument, Arguments, Name},
    attribute::Attribute,
    function::Function,
    mistakes::Mistakes,
    names::peeled,
};

/// The arguments of `#[cacheable]` and `#[cache_put]` that are evaluated after the body, without a mistake.
#[derive(Default)]
pub(crate) struct Policy {
    pub(crate) unless: Option<Expression>,
    pub(crate) ttl: Option<Life>,
    pub(crate) tags: Option<Tags>,
    /// `None` is kept too.
    pub(crate) none: bool,
    pub(crate) none_ttl: Option<Expression>,
    /// A predicate: errors for which it is true are kept too.
    pub(crate) error: Option<Expression>,
    pub(crate) error_ttl: Option<Expression>,
}

/// `ttl`.
pub(crate) enum Life {
    /// An expression.
    Expression(Expression),
    /// A function of the value: a closure, or the path of one.
    Function(Expression),
}

/// `tags`.
pub(crate) enum Tags {
    /// A list in brackets; its elements may be of different types.
    Listed(Vec<Expression>),
    /// Something to iterate over.
    All(Iteration),
}

impl Policy {
    /// The policy that `arguments` ask for; `put_key` is where it is stored. `None` only after a mistake.
    pub(super) fn check(
        attribute: Attribute,
        arguments: &Arguments,
        function: &Function,
        put_key: Option<&Key>,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let before = mistakes.count();
        contradictions(arguments, put_key, mistakes);
        let unless = bool_of(Name::Unless, None, attribute, arguments, function, mistakes);
        let scope = |what, without_result: Option<&str>| Scope {
            attribute,
            function,
            what,
            without_result: without_result.map(str::to_owned),
        };
        let ttl = optional(arguments, Name::Ttl, |argument| life(argument, &scope("`ttl`", None), mistakes));
        let none_scope = scope("`none_ttl`", Some("there is no `result` of a `None`: use the parameters"));
        let none_ttl = optional(arguments, Name::NoneTtl, |argument| negative_life(argument, &none_scope, mistakes));
        let error_scope = scope("`err_ttl`", Some("there is no `result` of an error: use the parameters"));
        let error_ttl = optional(arguments, Name::ErrTtl, |argument| negative_life(argument, &error_scope, mistakes));
        let error = optional(arguments, Name::CacheErr, |argument| {
            let without = "there is no `result` of an error: take the error as the closure's parameter";
            predicate(argument, &scope("`cache_err`", Some(without)), mistakes)
        });
        let tags = optional(arguments, Name::Tags, |argument| Tags::check(argument, &scope("`tags`", None), mistakes));
        let policy = Self {
            unless: unless.ok()?,
            ttl: ttl.ok()?,
            tags: tags.ok()?,
            none: arguments.flag(Name::CacheNone).is_some(),
            none_ttl: none_ttl.ok()?,
            error: error.ok()?,
            error_ttl: error_ttl.ok()?,
        };
        (mistakes.count() == before).then_some(policy)
    }

    /// Whether no argument asks for anything.
    pub(crate) fn is_plain(&self) -> bool {
        !self.none && self.expressions().next().is_none()
    }

    /// Whether more than values is kept.
    pub(crate) fn is_negative(&self) -> bool {
        self.none || self.error.is_some()
    }

    /// The expressions that are evaluated after the body: a time or a tag that does not look at the value is evaluated
    /// before it, which may take what they mention.
    pub(crate) fn expressions_after_body(&self) -> impl Iterator<Item = &Expression> {
        let looks_at_value = |life: &&Life| match life {
            Life::Expression(expression) => expression.result.is_some(),
            Life::Function(_) => true,
        };
        let ttl = self.ttl.as_ref().filter(looks_at_value).map(Life::expression);
        let tags = self.tags.iter().flat_map(Tags::expressions).filter(|tag| tag.result.is_some());
        self.others().chain(ttl).chain(tags)
    }

    /// All expressions.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let ttl = self.ttl.as_ref().map(Life::expression);
        self.others().chain(ttl).chain(self.tags.iter().flat_map(Tags::expressions))
    }

    /// All but `ttl` and `tags`.
    fn others(&self) -> impl Iterator<Item = &Expression> {
        [&self.unless, &self.none_ttl, &self.error, &self.error_ttl].into_iter().flatten()
    }
}

impl Life {
    fn expression(&self) -> &Expression {
        match self {
            Self::Expression(expression) | Self::Function(expression) => expression,
        }
    }
}

impl Tags {
    fn expressions(&self) -> &[Expression] {
        match self {
            Self::Listed(tags) => tags,
            Self::All(tags) => std::slice::from_ref(&tags.expression),
        }
    }
}

fn contradictions(arguments: &Arguments, put_key: Option<&Key>, mistakes: &mut Mistakes) {
    if let Some(name) = arguments.written(Name::NoneTtl)
        && !arguments.attempted(Name::CacheNone)
    {
        mistakes.on(name, "`none_ttl` is how long a `None` is kept: add `cache_none`, or remove it");
    }
    if let Some(name) = arguments.written(Name::ErrTtl)
        && !arguments.attempted(Name::CacheErr)
    {
        mistakes.on(
            name,
            "`err_ttl` is how long an error is kept: add `cache_err = |error| ...`, which says which ones, or remove it",
        );
    }
    if arguments.flag(Name::CacheValue).is_some() {
        for (name, kept) in [(Name::CacheNone, "a `None`"), (Name::CacheErr, "an error")] {
            if let Some(ident) = arguments.written(name) {
                mistakes.on(
                    ident,
                    format_args!(
                        "`cache_value` keeps whatever is returned, {kept} too: remove `{ident}`, or `cache_value`"
                    ),
                );
            }
        }
    }
    if let Some(name) = arguments.written(Name::CacheNone)
        && put_key.is_some_and(|key| key.result.is_some())
    {
        mistakes.on(
            name,
            "a `None` has no `result`, so its key is not known: remove `cache_none`, or make the key of the parameters",
        );
    }
    if let Some(name) = arguments.written(Name::CacheErr)
        && arguments.attempted(Name::Keys)
    {
        mistakes.on(name, "an error of a batch is of no one key, so it cannot be kept: remove `cache_err`, or `keys`");
    }
}

/// `ttl`. `None` only after a mistake.
fn life(argument: &Argument, scope: &Scope<'_>, mistakes: &mut Mistakes) -> Option<Life> {
    let is_good = check_ttl(argument, mistakes);
    let expression = scope.check(argument, mistakes).filter(|_| is_good)?;
    Some(match peeled(&argument.value) {
        Expr::Closure(_) => Life::Function(expression),
        Expr::Path(path) if is_function(&path.path) => Life::Function(expression),
        _ => Life::Expression(expression),
    })
}

/// Whether a path is written as that of a function: `User::ttl`, and not `TTL` or `User::TTL`.
fn is_function(path: &Path) -> bool {
    path.segments.len() > 1
        && path.segments.last().is_some_and(|last| last.ident.to_string().contains(|c: char| c.is_lowercase()))
}

/// The ttl of what has no value. `None` only after a mistake.
fn negative_life(argument: &Argument, scope: &Scope<'_>, mistakes: &mut Mistakes) -> Option<Expression> {
    let Argument { name, value, .. } = argument;
    if matches!(peeled(value), Expr::Closure(_)) {
        mistakes.on(
            value,
            format_args!("there is no value for a closure to look at: write `{name} = Duration::from_secs(60)`"),
        );
        return None;
    }
    let is_good = check_ttl(argument, mistakes);
    scope.check(argument, mistakes).filter(|_| is_good)
}

/// Refuses what is no duration but looks like one elsewhere. Whether it is not.
pub(crate) fn check_ttl(Argument { name, value, .. }: &Argument, mistakes: &mut Mistakes) -> bool {
    match peeled(value) {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => {
            let number = number.base10_digits();
            mistakes.on(value, format_args!("a time is a `Duration`: write `{name} = Duration::from_secs({number})`"));
            false
        }
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => {
            let number = number.base10_digits();
            mistakes
                .on(value, format_args!("a time is a `Duration`: write `{name} = Duration::from_secs_f64({number})`"));
            false
        }
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            let duration = duration(text).unwrap_or_else(|| "Duration::from_secs(60)".into());
            mistakes.on(text, format_args!("a time is a `Duration`, not a string: write `{name} = {duration}`"));
            false
        }
        Expr::Closure(closure) => has_one_parameter(closure, name, "the value", mistakes),
        _ => true,
    }
}

/// What text like "5m" is as a `Duration`.
fn duration(text: &LitStr) -> Option<String> {
    let text = text.value();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 = text[..text.len() - unit.len()].parse().ok()?;
    let seconds = match unit.trim() {
        "ms" => return Some(format!("Duration::from_millis({number})")),
        "" | "s" | "sec" | "secs" | "seconds" => 1,
        "m" | "min" | "mins" | "minutes" => 60,
        "h" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86_400,
        _ => return None,
    };
    Some(format!("Duration::from_secs({})", number.checked_mul(seconds)?))
}

/// Whether a closure takes what it will be given, `what`.
pub(super) fn has_one_parameter(closure: &ExprClosure, name: &Ident, what: &str, mistakes: &mut Mistakes) -> bool {
    let count = closure.inputs.len();
    if count != 1 {
        let given: TokenStream = closure.inputs.to_token_stream();
        mistakes.on(
            closure,
            format_args!("this closure is given one thing, {what}, and takes `|{given}|`: write `{name} = |it| ...`"),
        );
    }
    if let Some(token) = &closure.asyncness {
        mistakes.on(token, format_args!("`{name}` is decided at once: remove `async`"));
        return false;
    }
    count == 1
}

/// The predicate of `cache_err`: a closure, or the path of a function.
fn predicate(argument: &Argument, scope: &Scope<'_>, mistakes: &mut Mistakes) -> Option<Expression> {
    let Argument { name, value, .. } = argument;
    match peeled(value) {
        // The path of a function, which may well be in lower case.
        Expr::Path(_) => Some(Expression::new(value.to_token_stream())),
        Expr::Closure(closure) => {
            let fits = has_one_parameter(closure, name, "the error", mistakes);
            scope.check(argument, mistakes).filter(|_| fits)
        }
        Expr::Lit(_) => {
            mistakes.on(
                value,
                "`cache_err` says which errors are kept: write `cache_err = |error| ...` (`|_| true` for all)",
            );
            None
        }
        Expr::Binary(_) | Expr::Unary(_) | Expr::Macro(_) => {
            mistakes.on(
                value,
                format_args!("`cache_err` is given the error: write `cache_err = |error| {}`", value.to_token_stream()),
            );
            None
        }
        _ => scope.check(argument, mistakes),
    }
}

impl Tags {
    fn check(argument: &Argument, scope: &Scope<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        let Argument { name, value, .. } = argument;
        match peeled(value) {
            Expr::Array(ExprArray { elems, .. }) if elems.is_empty() => {
                mistakes.on(value, "this list has no tag: add one, or remove `tags`");
                None
            }
            Expr::Array(ExprArray { elems, .. }) => {
                let tags: Vec<_> = elems.iter().map(|element| scope.expression(element, mistakes)).collect();
                tags.into_iter().collect::<Option<Vec<_>>>().map(Self::Listed)
            }
            Expr::Lit(_) => {
                mistakes.on(value, format_args!("`tags` is a list: write `{name} = [{}]`", value.to_token_stream()));
                None
            }
            Expr::Macro(call) if call.mac.path.segments.last().is_some_and(|last| last.ident == "format") => {
                mistakes.on(value, format_args!("`tags` is a list: write `{name} = [format!(..)]`"));
                None
            }
            Expr::Closure(_) => {
                mistakes.on(
                    value,
                    format_args!(
                        "`{name}` is a list, not a closure: write `{name} = [...]`; the value to be stored is `result`"
                    ),
                );
                None
            }
            _ => Iteration::check(argument, scope, mistakes).map(Self::All),
        }
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;
    use crate::attribute::mistakes_in;

    fn mistakes(attribute: Attribute, arguments: &TokenStream) -> Vec<String> {
        let item = quote!(
            async fn find(id: u64, teams: &[Team]) -> Result<Option<User>, Error> {}
        );
        mistakes_in(attribute, quote!(cache = "a", key = id, #arguments), item)
    }

    #[test]
    fn what_belongs_together_is_accepted() {
        for good in [
            quote!(ttl = TTL),
            quote!(ttl = result.ttl()),
            quote!(ttl = |user| user.ttl(id)),
            quote!(ttl = (|user: &User| user.ttl())),
            quote!(unless = result.is_draft() || id == 0),
            quote!(tags = ["all", format!("team:{}", result.team), id]),
            quote!(tags = teams.iter().map(|team| team.id)),
            quote!(tags = teams),
            quote!(cache_none, none_ttl = Duration::from_secs(id), ttl = TTL, unless = result.old, tags = [id]),
        ] {
            assert_eq!(mistakes(Attribute::Cacheable, &good), [""; 0], "{good}");
            assert_eq!(mistakes(Attribute::CachePut, &good), [""; 0], "{good}");
        }
        for good in [
            quote!(cache_err = |e| e.is_gone(), err_ttl = TTL),
            quote!(cache_err = Error::is_gone),
            quote!(cache_err = is_gone),
        ] {
            assert_eq!(mistakes(Attribute::Cacheable, &good), [""; 0], "{good}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_answered_with_what_can() {
        for (bad, says) in [
            (quote!(ttl = 60), "write `ttl = Duration::from_secs(60)`"),
            (quote!(ttl = 1.5), "write `ttl = Duration::from_secs_f64(1.5)`"),
            (quote!(ttl = "5m"), "write `ttl = Duration::from_secs(300)`"),
            (quote!(ttl = "250ms"), "write `ttl = Duration::from_millis(250)`"),
            (quote!(ttl = "soon"), "write `ttl = Duration::from_secs(60)`"),
            (quote!(ttl = || TTL), "takes `||`: write `ttl = |it| ...`"),
            (quote!(ttl = |a, b| TTL), "takes `|a , b|`"),
            (quote!(ttl = async |a| TTL), "remove `async`"),
            (quote!(none_ttl = TTL), "add `cache_none`"),
            (quote!(cache_none, none_ttl = 5), "write `none_ttl = Duration::from_secs(5)`"),
            (quote!(cache_none, none_ttl = |x| TTL), "write `none_ttl = Duration::from_secs(60)`"),
            (quote!(err_ttl = TTL), "add `cache_err = |error| ...`"),
            (quote!(cache_err = true), "write `cache_err = |error| ...`"),
            (quote!(cache_err = || true), "takes `||`"),
            (quote!(cache_value, cache_none), "remove `cache_none`, or `cache_value`"),
            (quote!(cache_value, cache_err = |e| true), "remove `cache_err`, or `cache_value`"),
            (quote!(tags = []), "add one, or remove `tags`"),
            (quote!(tags = "a"), "write `tags = [\"a\"]`"),
            (quote!(tags = format!("a{id}")), "write `tags = [format!(..)]`"),
            (quote!(tags = |user| [user.id]), "the value to be stored is `result`"),
        ] {
            let messages = mistakes(Attribute::Cacheable, &bad);
            assert!(matches!(&*messages, [message] if message.contains(says)), "{bad}: {messages:?}");
        }
    }

    #[test]
    fn a_path_in_lower_case_is_a_function_of_the_value() {
        for (path, expected) in [("User::ttl", true), ("self::ttl", true), ("User::TTL", false), ("TTL", false)] {
            assert_eq!(is_function(&syn::parse_str(path).expect("a path")), expected, "{path}");
        }
    }

    #[test]
    fn a_none_cannot_be_put_under_a_key_of_its_value() {
        let item = quote!(
            async fn save() -> Option<User> {}
        );
        let messages = mistakes_in(Attribute::CachePut, quote!(cache = "a", key = result.id, cache_none), item);
        assert!(matches!(&*messages, [message] if message.contains("remove `cache_none`")), "{messages:?}");
    }
}
