//! [`Node`]s and values → text.

use super::{
    Error, Expand, Scope, functions,
    parse::{Node, Operand, Parsed, Pipeline},
    value::Value,
};

/// The text of one template; more is a mistake.
const MAX_OUTPUT: usize = 64 * 1024;
/// Nodes visited; a `range` in a `range` over a large result ends here.
const MAX_STEPS: usize = 100_000;
/// Templates that call one another.
const MAX_CALLS: usize = 20;

/// What a node wants of the loop around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

pub(super) fn expand(parsed: &Parsed, scope: &Scope) -> Result<String, Expand> {
    let dot = scope.dot.clone().unwrap_or(Value::Nil);
    let variables = scope.variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let mut eval = Eval { parsed, scope, variables, root: dot.clone(), output: String::new(), steps: 0, calls: 0 };
    eval.nodes(&parsed.root, &dot)?;
    Ok(eval.output)
}

struct Eval<'a> {
    parsed: &'a Parsed,
    scope: &'a Scope,
    /// The newest last; a name may stand more than once.
    variables: Vec<(String, Value)>,
    /// What `$` is.
    root: Value,
    output: String,
    steps: usize,
    calls: usize,
}

impl Eval<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, Expand> {
        let known = self.variables.len();
        for node in nodes {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(Error::new("the template does too much").into());
            }
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                self.variables.truncate(known);
                return Ok(flow);
            }
        }
        self.variables.truncate(known);
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, Expand> {
        match node {
            Node::Text(text) => self.write(text)?,
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.write(&value.print())?;
                }
            }
            Node::If(branches) => return self.branches(branches, dot),
            Node::With { value, body, otherwise } => {
                let known = self.variables.len();
                let value = self.pipeline(value, dot)?;
                let flow = if value.truth() { self.nodes(body, &value) } else { self.nodes(otherwise, dot) };
                self.variables.truncate(known);
                return flow;
            }
            Node::Range { over, body, otherwise } => return self.range(over, body, otherwise, dot),
            Node::Call { name, argument } => self.call(name, argument.as_ref(), dot)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn branches(&mut self, branches: &[(Option<Pipeline>, Vec<Node>)], dot: &Value) -> Result<Flow, Expand> {
        let known = self.variables.len();
        for (condition, body) in branches {
            let taken = match condition {
                Some(condition) => self.pipeline(condition, dot)?.truth(),
                None => true,
            };
            if taken {
                let flow = self.nodes(body, dot)?;
                self.variables.truncate(known);
                return Ok(flow);
            }
        }
        self.variables.truncate(known);
        Ok(Flow::On)
    }

    fn range(&mut self, over: &Pipeline, body: &[Node], otherwise: &[Node], dot: &Value) -> Result<Flow, Expand> {
        // The variables take each element, not the list.
        let list = self.commands(over, dot)?;
        let items: Vec<(Value, Value)> = match list {
            Value::Nil => Vec::new(),
            Value::List(values) => (0..).map(Value::Int).zip(values).collect(),
            Value::Map(fields) => fields.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            Value::Int(count) => (0..count.min(10_000)).map(|index| (Value::Int(index), Value::Int(index))).collect(),
            other => return Err(Error::new(format!("range can't iterate over {}", other.print())).into()),
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        let known = self.variables.len();
        for (key, value) in items {
            match over.variables.as_slice() {
                [one] => self.variables.push((one.clone(), value.clone())),
                [one, two] => {
                    self.variables.push((one.clone(), key));
                    self.variables.push((two.clone(), value.clone()));
                }
                _ => {}
            }
            let flow = self.nodes(body, &value)?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn call(&mut self, name: &str, argument: Option<&Pipeline>, dot: &Value) -> Result<(), Expand> {
        let parsed = self.parsed;
        let Some(body) = parsed.defined.get(name) else {
            return Err(Error::new(format!("template {name:?} not defined")).into());
        };
        let argument = match argument {
            Some(argument) => self.pipeline(argument, dot)?,
            None => Value::Nil,
        };
        self.calls += 1;
        if self.calls > MAX_CALLS {
            return Err(Error::new("templates call one another too deep").into());
        }
        let root = std::mem::replace(&mut self.root, argument.clone());
        self.nodes(body, &argument)?;
        self.root = root;
        self.calls -= 1;
        Ok(())
    }

    /// The value of a pipeline; its variables are set.
    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, Expand> {
        let value = self.commands(pipeline, dot)?;
        for name in &pipeline.variables {
            if pipeline.declares {
                self.variables.push((name.clone(), value.clone()));
                continue;
            }
            match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
                Some((_, held)) => *held = value.clone(),
                None => return Err(Error::new(format!("undefined variable \"${name}\"")).into()),
            }
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, Expand> {
        let mut piped = None;
        for command in &pipeline.commands {
            piped = Some(self.command(command, piped, dot)?);
        }
        Ok(piped.unwrap_or(Value::Nil))
    }

    fn command(&mut self, command: &[Operand], piped: Option<Value>, dot: &Value) -> Result<Value, Expand> {
        let Some((first, rest)) = command.split_first() else {
            return Err(Error::new("missing value").into());
        };
        if let Operand::Function(name) = first {
            return self.function(name, rest, piped, dot);
        }
        if !rest.is_empty() || piped.is_some() {
            return Err(Error::new("can't give an argument to something that is not a function").into());
        }
        self.operand(first, dot)
    }

    fn function(&mut self, name: &str, rest: &[Operand], piped: Option<Value>, dot: &Value) -> Result<Value, Expand> {
        // `and` and `or` stop at the first operand that decides.
        let decides = match name {
            "and" => Some(false),
            "or" => Some(true),
            _ => None,
        };
        let mut arguments = Vec::with_capacity(rest.len() + 1);
        for operand in rest {
            let value = self.operand(operand, dot)?;
            if decides == Some(value.truth()) {
                return Ok(value);
            }
            arguments.push(value);
        }
        arguments.extend(piped);
        if decides.is_some() {
            return arguments.pop().ok_or_else(|| Error::new(format!("{name} needs an argument")).into());
        }
        functions::call(name, arguments, self.scope)
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, Expand> {
        match operand {
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Field(path) => Ok(field(dot, path)?),
            Operand::Variable(name, path) if name.is_empty() => Ok(field(&self.root, path)?),
            Operand::Variable(name, path) => match self.variables.iter().rev().find(|(known, _)| known == name) {
                Some((_, value)) => Ok(field(value, path)?),
                None => Err(Error::new(format!("undefined variable \"${name}\"")).into()),
            },
            Operand::Function(name) => self.function(name, &[], None, dot),
            Operand::Group(pipeline, path) => {
                let value = self.pipeline(pipeline, dot)?;
                Ok(field(&value, path)?)
            }
        }
    }

    fn write(&mut self, text: &str) -> Result<(), Expand> {
        if self.output.len() + text.len() > MAX_OUTPUT {
            return Err(Error::new(format!("the text is longer than {MAX_OUTPUT} bytes")).into());
        }
        self.output.push_str(text);
        Ok(())
    }
}

/// The value at a path of fields. A field that a map does not have is empty text, as a label that is not set.
fn field(value: &Value, path: &[String]) -> Result<Value, Error> {
    let mut value = value;
    for (index, name) in path.iter().enumerate() {
        let Value::Map(fields) = value else {
            return Err(Error::new(format!("can't read field {name} of a {}", value.kind())));
        };
        match fields.get(name) {
            Some(found) => value = found,
            None if index + 1 == path.len() => return Ok(Value::Text(String::new())),
            None => return Err(Error::new(format!("no field {name}"))),
        }
    }
    Ok(value.clone())
}
