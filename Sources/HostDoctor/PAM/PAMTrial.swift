/// Plays libpam's part: what comes of a stack where the answer of each module is known. It follows
/// `_pam_dispatch_aux` of Linux-PAM.
struct PAMTrial {
  /// Whether the login goes through.
  private(set) var passes = false
  /// The lines whose modules were called, in order.
  private(set) var called: [PAMRule] = []

  private enum Impression {
    case undefined
    case positive
    case negative
  }

  private struct State {
    var impression = Impression.undefined
    var isSuccess = false
  }

  /// Whether the rest of a stack is still to be looked at.
  private enum Flow {
    case next
    case decided
  }

  /// Runs the stack.
  ///
  /// - Parameters:
  ///   - stack: The stack.
  ///   - answer: What a line's module answers, by its name in a control field.
  init(_ stack: PAMStack, answer: (PAMRule) -> String) {
    var state = State()
    _ = run(stack.steps, &state, answer)
    passes = state.impression == .positive && state.isSuccess
  }

  private mutating func run(_ steps: [PAMStack.Step], _ state: inout State, _ answer: (PAMRule) -> String) -> Flow {
    let before = state
    var index = 0
    while index < steps.count {
      let step = steps[index]
      index += 1
      guard case .rule(let rule) = step else {
        // What decides a substack ends the substack alone.
        if case .substack(let inner) = step { _ = run(inner, &state, answer) }
        continue
      }
      called.append(rule)
      let result = answer(rule)
      let action = rule.control.action(on: result)
      switch action {
      case .ignore: continue
      case .reset: state = before
      case .ok, .done:
        if result != "ignore",
          state.impression == .undefined || (state.impression == .positive && state.isSuccess)
        {
          // An answer other than success that is waved through as "ok" still is what the application sees.
          state = State(impression: .positive, isSuccess: result == "success")
        }
        if action == .done, state.impression == .positive { return .decided }
      case .bad, .die:
        state = State(impression: .negative, isSuccess: false)
        if action == .die { return .decided }
      case .jump(let count):
        guard index + count <= steps.count else {
          state = State(impression: .negative, isSuccess: false)
          return .decided
        }
        index += count
      }
    }
    return .next
  }
}
