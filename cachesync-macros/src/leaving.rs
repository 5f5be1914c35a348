//! What leaves the annotated function from within an argument: `?` and `return`.
//!
//! An argument is evaluated in the function and outside of its body. To leave from there would skip the body, or leave
//! open what it changed, with nothing at the body that says so.

use proc_macro2::Span;
use quote::ToTokens;
use syn::{
    Expr, ExprAsync, ExprClosure, ExprReturn, ExprTry, Item, Macro, Token,
    parse::Parser,
    punctuated::Punctuated,
    visit::{self, Visit},
};

use crate::mistakes::Mistakes;

/// Refuses every exit in `expression`, an argument called `what`, and says what to do `instead`. Whether there is none.
pub(crate) fn refuse(expression: &Expr, what: &str, instead: &str, mistakes: &mut Mistakes) -> bool {
    let exits = exits(expression);
    for Exit { token, span } in &exits {
        mistakes.at(*span, format_args!("`{token}` in {what} would return from the function itself: {instead}"));
    }
    exits.is_empty()
}

/// A token that returns from the function.
struct Exit {
    token: &'static str,
    span: Span,
}

/// The exits in `expression`. Those of its closures, `async` blocks and items are their own.
fn exits(expression: &Expr) -> Vec<Exit> {
    let mut exits = Exits(Vec::new());
    exits.visit_expr(expression);
    exits.0
}

struct Exits(Vec<Exit>);

impl<'ast> Visit<'ast> for Exits {
    fn visit_expr_try(&mut self, expression: &'ast ExprTry) {
        visit::visit_expr_try(self, expression);
        self.0.push(Exit { token: "?", span: expression.question_token.span });
    }

    fn visit_expr_return(&mut self, expression: &'ast ExprReturn) {
        self.0.push(Exit { token: "return", span: expression.return_token.span });
        visit::visit_expr_return(self, expression);
    }

    fn visit_expr_closure(&mut self, _: &'ast ExprClosure) {}
    fn visit_expr_async(&mut self, _: &'ast ExprAsync) {}
    fn visit_item(&mut self, _: &'ast Item) {}

    fn visit_macro(&mut self, call: &'ast Macro) {
        // Most calls have expressions between commas (`format!`); what others make of their tokens is not known.
        let arguments = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(call.tokens.to_token_stream());
        for argument in arguments.iter().flatten() {
            self.visit_expr(argument);
        }
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn tokens(expression: &Expr) -> Vec<&'static str> {
        exits(expression).iter().map(|exit| exit.token).collect()
    }

    #[test]
    fn what_returns_from_the_function_is_found_wherever_it_stands() {
        for (expression, expected) in [
            (parse_quote!(id.checked_sub(1)?), &["?"][..]),
            (parse_quote!((tenant?, result.as_ref()?.id)), &["?", "?"]),
            (parse_quote!(if a { b } else { return Ok(()) }), &["return"]),
            (parse_quote!(return id?), &["return", "?"]),
            (parse_quote!(ids()?.map(|id| id + 1)), &["?"]),
            (parse_quote!(format!("{}{id}", self.tenant()?, id = id)), &["?"]),
            (
                parse_quote!({
                    let Some(id) = id else { return None };
                    id
                }),
                &["return"],
            ),
        ] {
            assert_eq!(tokens(&expression), expected, "{}", expression.to_token_stream());
        }
    }

    #[test]
    fn what_returns_from_something_within_is_none_of_its() {
        for expression in [
            parse_quote!(id.and_then(|id| id.checked_sub(1)?.checked_sub(1))),
            parse_quote!(
                ids.iter()
                    .map(|id| {
                        return id;
                    })
                    .sum()
            ),
            parse_quote!(async { load().await?.id }.await),
            parse_quote!({
                fn half(id: u64) -> Option<u64> {
                    Some(id.checked_sub(1)? / 2)
                }
                half(id)
            }),
            parse_quote!(matches!(id, Some(1 | 2) if self::f(id))),
            parse_quote!(format!("{id:?}")),
        ] {
            assert_eq!(tokens(&expression), [""; 0], "{}", expression.to_token_stream());
        }
    }
}
