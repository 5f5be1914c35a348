//! The names that a key expression uses.
//!
//! A macro cannot resolve names. Where it matters which way it errs, this module says so: what an expression *binds* and
//! what its tokens *mention* are over-approximated, what it *uses as a value* is not.

use std::collections::HashSet;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Expr, ExprCall, ExprGroup, ExprParen, ExprPath, Ident, Item, Lifetime, PatIdent,
    ext::IdentExt,
    visit::{self, Visit},
};

/// `expression` without parentheses, and without the groups that cannot be seen, which `macro_rules` put around what they
/// were given (`$key:expr`, `$name:literal`).
pub(crate) fn peeled(mut expression: &Expr) -> &Expr {
    while let Expr::Paren(ExprParen { expr, .. }) | Expr::Group(ExprGroup { expr, .. }) = expression {
        expression = expr;
    }
    expression
}

/// Every identifier in some tokens, also within macro calls and in the text of literals (`"{id}"`).
#[derive(Default)]
pub(crate) struct Mentions {
    identifiers: HashSet<String>,
    texts: Vec<String>,
}

impl Mentions {
    pub(crate) fn of(tokens: &impl ToTokens) -> Self {
        let mut mentions = Self::default();
        mentions.add(tokens.to_token_stream());
        mentions
    }

    fn add(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    self.identifiers.insert(ident.unraw().to_string());
                }
                TokenTree::Group(group) => self.add(group.stream()),
                TokenTree::Literal(literal) => self.texts.push(literal.to_string()),
                TokenTree::Punct(_) => {}
            }
        }
    }

    /// Whether `name` may be used; never wrongly no.
    pub(crate) fn has(&self, name: &Ident) -> bool {
        self.has_text(&name.unraw().to_string())
    }

    pub(crate) fn has_text(&self, name: &str) -> bool {
        self.identifiers.contains(name) || self.texts.iter().any(|text| text.contains(name))
    }

    /// Whether `name` is an identifier, or a variable in what may be a format string.
    pub(crate) fn has_variable(&self, name: &str) -> bool {
        let in_format = format!("{{{name}");
        self.identifiers.contains(name) || self.texts.iter().any(|text| text.contains(&in_format))
    }

    pub(crate) fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.identifiers.iter().map(String::as_str)
    }
}

/// The values that an expression uses by a single name.
#[derive(Default)]
pub(crate) struct Values {
    used: Vec<Ident>,
    bound: HashSet<String>,
    opaque: Mentions,
    /// Whether it has `.await`, `break` or the like, or names a lifetime: it then cannot be copied elsewhere.
    pub(crate) tied: bool,
}

impl Values {
    pub(crate) fn of(expression: &Expr) -> Self {
        let mut values = Self::default();
        values.visit_expr(expression);
        values
    }

    /// The names in lower case that are used as values and not bound by the expression itself; calls (`f(id)`) and the
    /// insides of macro calls are left out, since those may well be items.
    pub(crate) fn free(&self) -> impl Iterator<Item = &Ident> {
        self.used.iter().filter(|ident| !self.bound.contains(&ident.unraw().to_string()))
    }

    /// The first free use of `name`; one within a macro call has no place of its own.
    pub(crate) fn uses(&self, name: &str) -> Option<Use> {
        if let Some(ident) = self.free().find(|ident| *ident == name) {
            return Some(Use::Here(ident.clone()));
        }
        self.opaque.has_text(name).then_some(Use::InMacro)
    }
}

/// Where a name is used.
pub(crate) enum Use {
    Here(Ident),
    InMacro,
}

impl<'ast> Visit<'ast> for Values {
    fn visit_expr(&mut self, expression: &'ast Expr) {
        self.tied |= matches!(expression, Expr::Await(_) | Expr::Break(_) | Expr::Continue(_) | Expr::Yield(_));
        visit::visit_expr(self, expression);
    }

    fn visit_expr_path(&mut self, path: &'ast ExprPath) {
        if let Some(ident) = path.path.get_ident().filter(|_| path.qself.is_none())
            && ident.unraw().to_string().starts_with(|first: char| first.is_lowercase() || first == '_')
        {
            self.used.push(ident.clone());
        }
        visit::visit_expr_path(self, path);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        // The function may be an item, or a parameter: neither is worth an error.
        if !matches!(peeled(&call.func), Expr::Path(_)) {
            self.visit_expr(&call.func);
        }
        for argument in &call.args {
            self.visit_expr(argument);
        }
    }

    fn visit_pat_ident(&mut self, binding: &'ast PatIdent) {
        self.bound.insert(binding.ident.unraw().to_string());
        visit::visit_pat_ident(self, binding);
    }

    fn visit_item(&mut self, item: &'ast Item) {
        // Not looked into: whatever it mentions counts as bound, its own name among it.
        self.bound.extend(Mentions::of(item).identifiers);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        self.tied |= lifetime.ident != "static" && lifetime.ident != "_";
    }

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.opaque.add(tokens.clone());
    }
}
