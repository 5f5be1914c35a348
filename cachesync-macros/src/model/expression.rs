//! An expression among the arguments, and what it may use.
//!
//! Invariant: a name that is no parameter is a mistake that is found here. Otherwise a misspelt parameter may silently be
//! some constant of that name.

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::{Expr, ExprLit, Lit, Pat, PatIdent, ext::IdentExt};

use crate::{
    arguments::Argument,
    attribute::Attribute,
    function::{Function, Parameter},
    leaving,
    mistakes::{Mistakes, listed},
    names::{Mentions, Use, Values, peeled},
};

/// An expression in which no mistake was found.
pub(crate) struct Expression {
    pub(crate) tokens: TokenStream,
    /// The word `result`, where the expression uses it.
    pub(crate) result: Option<Ident>,
    /// Whatever its tokens mention.
    pub(crate) mentions: Mentions,
    /// It can only be evaluated within the function: it has an `.await`, for example.
    pub(crate) tied: bool,
}

impl Expression {
    pub(crate) fn new(tokens: TokenStream) -> Self {
        let mentions = Mentions::of(&tokens);
        Self { tokens, result: None, mentions, tied: false }
    }
}

/// The place of an argument: what its expression may use, and how to speak of it.
pub(crate) struct Scope<'a> {
    pub(crate) attribute: Attribute,
    pub(crate) function: &'a Function,
    /// As in "`?` in a key": the expression, in words.
    pub(crate) what: &'a str,
    /// What to write in place of `result`; nothing if there is one.
    pub(crate) without_result: Option<String>,
}

impl Scope<'_> {
    /// Checks an argument. `None` only after a mistake.
    pub(crate) fn check(&self, argument: &Argument, mistakes: &mut Mistakes) -> Option<Expression> {
        if argument.inherited { self.inherited(argument, mistakes) } else { self.expression(&argument.value, mistakes) }
    }

    /// Checks an expression, or one of several in an argument. `None` only after a mistake.
    pub(crate) fn expression(&self, expression: &Expr, mistakes: &mut Mistakes) -> Option<Expression> {
        let values = Values::of(expression);
        let mut good = leaving::refuse(expression, self.what, self.instead_of_leaving(), mistakes);
        for ident in values.free() {
            if ident == "self" {
                if self.function.receiver.is_none() {
                    mistakes.on(
                        ident,
                        format_args!("`{}` has no `self`: {}", self.function.name(), instead(self.function)),
                    );
                    good = false;
                }
            } else if self.function.binding(ident).is_none() && ident != "result" {
                mistakes.on(ident, not_a_parameter(ident, self.function));
                good = false;
            }
        }
        let result = match self.result(&values) {
            Some(used) => match (&self.without_result, used) {
                (None, Use::Here(ident)) => Some(ident),
                (None, Use::InMacro) => Some(Ident::new("result", Span::call_site())),
                (Some(message), Use::Here(ident)) => {
                    mistakes.on(&ident, message);
                    return None;
                }
                (Some(message), Use::InMacro) => {
                    mistakes.on(expression, message);
                    return None;
                }
            },
            None => None,
        };
        let tokens = expression.to_token_stream();
        good.then(|| Expression { mentions: Mentions::of(&tokens), tokens, result, tied: values.tied })
    }

    /// A default was checked where it stands, for `self` it could not be.
    fn inherited(&self, argument: &Argument, mistakes: &mut Mistakes) -> Option<Expression> {
        let values = Values::of(&argument.value);
        if !refuse_self(argument, &values, self.function, mistakes) {
            return None;
        }
        let result = self.result(&values).map(|used| match used {
            Use::Here(ident) => ident,
            Use::InMacro => Ident::new("result", Span::call_site()),
        });
        Some(Expression { result, tied: values.tied, ..Expression::new(argument.value.to_token_stream()) })
    }

    /// The use of `result`, unless it is a parameter.
    fn result(&self, values: &Values) -> Option<Use> {
        let is_parameter = self.function.binding(&Ident::new("result", Span::call_site())).is_some();
        values.uses("result").filter(|_| !is_parameter)
    }

    fn instead_of_leaving(&self) -> &'static str {
        match (self.what, self.attribute) {
            ("a key", Attribute::CacheEvict) => {
                "make a key in that case too (`unwrap_or`, `match`), take the key as a parameter, or evict by hand with \
                 `Cache::evict`"
            }
            ("a key", _) => "make a key in that case too (`unwrap_or`, `match`), or take the key as a parameter",
            _ => "make a value in that case too (`unwrap_or`, `match`)",
        }
    }
}

/// Refuses a default that uses `self` at a function that has none. Whether it does not.
pub(crate) fn refuse_self(argument: &Argument, values: &Values, function: &Function, mistakes: &mut Mistakes) -> bool {
    let bad = argument.inherited && function.receiver.is_none() && values.free().any(|ident| ident == "self");
    if bad {
        let name = &argument.name;
        mistakes.on(
            function.name(),
            format_args!(
                "`{}` has no `self`, which the `{name}` of `#[cache_config]` uses: give it a `{name}` of its own",
                function.name()
            ),
        );
    }
    !bad
}

/// Refuses text where there should be code, `what`. Whether there is none.
pub(crate) fn refuse_text(expression: &Expr, name: &Ident, what: &str, mistakes: &mut Mistakes) -> bool {
    let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = peeled(expression) else { return true };
    // What is SpEL, `#user.id`, is nearly code.
    let code = text.value().replace('#', "");
    let instead = if syn::parse_str::<Expr>(&code).is_ok() { code } else { "...".into() };
    mistakes.on(text, format_args!("{what} is a Rust expression, not a string: write `{name} = {instead}`"));
    false
}

/// Refuses a closure where there should be an expression. Whether there is none.
pub(crate) fn refuse_closure(expression: &Expr, name: &Ident, mistakes: &mut Mistakes) -> bool {
    let Expr::Closure(closure) = peeled(expression) else { return true };
    mistakes.on(
        expression,
        format_args!(
            "`{name}` is an expression over the parameters, not a closure: write `{name} = {}`",
            closure.body.to_token_stream()
        ),
    );
    false
}

/// "use one of ..", for a name that is none of the parameters.
pub(super) fn instead(function: &Function) -> String {
    match &*function.binding_names() {
        [] => "it has no parameters".into(),
        [one] => format!("use `{one}`"),
        names => format!("use one of {}", listed(names)),
    }
}

fn not_a_parameter(ident: &Ident, function: &Function) -> String {
    let name = function.name();
    if function.form.is_future() && function.parameters.iter().any(is_renamed) {
        return format!(
            "`{ident}` is not a parameter of `{name}` as `#[async_trait]` makes it, which has other names for patterns: \
             give the parameter a name, and take it apart in the body"
        );
    }
    format!(
        "`{ident}` is not a parameter of `{name}`: {} (an item of this name can be written `self::{ident}`)",
        instead(function)
    )
}

/// Whether a parameter was a pattern before `#[async_trait]`.
fn is_renamed(parameter: &Parameter) -> bool {
    matches!(&parameter.pattern, Pat::Ident(PatIdent { ident, .. }) if ident.unraw().to_string().starts_with("__arg"))
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;
    use crate::attribute::mistakes_in;

    const ARGUMENTS: [&str; 7] = ["condition", "unless", "ttl", "tags", "none_ttl", "err_ttl", "cache_err"];

    fn mistakes(argument: &str, expression: &TokenStream) -> Vec<String> {
        let name = quote::format_ident!("{argument}");
        let needed = match argument {
            "none_ttl" => quote!(, cache_none),
            "err_ttl" => quote!(, cache_err = |_| true),
            _ => quote!(),
        };
        let item = quote!(
            async fn find(&self, id: u64) -> Result<Option<u64>, String> {}
        );
        mistakes_in(Attribute::Cacheable, quote!(cache = "a", key = id, #name = #expression #needed), item)
    }

    #[test]
    fn names_are_checked_in_every_argument() {
        for argument in ARGUMENTS {
            let messages = mistakes(argument, &quote!(f(idd)));
            let expected = "`idd` is not a parameter of `find`: use `id`";
            assert!(matches!(&*messages, [message] if message.starts_with(expected)), "{argument}: {messages:?}");
            assert_eq!(mistakes(argument, &quote!(f(id, self.x, LIMIT))), [""; 0], "{argument}");
        }
    }

    #[test]
    fn nothing_leaves_the_function_from_any_argument() {
        for argument in ARGUMENTS {
            let messages = mistakes(argument, &quote!(f(id)?));
            assert!(
                matches!(&*messages, [message] if message.contains("would return from the function itself")),
                "{argument}: {messages:?}"
            );
        }
    }

    #[test]
    fn text_and_closures_are_no_conditions() {
        for argument in ["condition", "unless"] {
            let messages = mistakes(argument, &quote!("#id > 3"));
            assert!(messages.concat().contains(&format!("write `{argument} = id > 3`")), "{messages:?}");
            let messages = mistakes(argument, &quote!(|user| user.old));
            assert!(messages.concat().contains("not a closure"), "{messages:?}");
        }
    }

    #[test]
    fn a_result_that_is_not_there_yet_is_refused() {
        let messages = mistakes("condition", &quote!(result.is_new()));
        assert!(messages.concat().contains("use `unless`"), "{messages:?}");
        for argument in ["none_ttl", "err_ttl", "cache_err"] {
            assert_eq!(mistakes(argument, &quote!(f(result))).len(), 1, "{argument}");
        }
    }

    #[test]
    fn a_pattern_that_async_trait_renamed_is_recognised() {
        let item = quote!(
            fn find<'a>(&'a self, __arg1: (u64, u64)) -> Pin<Box<dyn Future<Output = Option<u64>> + 'a>> {}
        );
        let messages = mistakes_in(Attribute::Cacheable, quote!(cache = "a", key = id), item);
        assert!(matches!(&*messages, [message] if message.contains("give the parameter a name")), "{messages:?}");
    }
}
