/// An element of a chain, like a `struct handler` of libpam.
struct PAMHandler {
  enum Kind {
    case module(PAMRule)
    /// A line that libpam rejects, or an include that fails: returns `perm_denied`.
    case failing
    /// The beginning of a substack, which is not called.
    case substack
  }

  let kind: Kind
  /// The depth of substacks.
  let level: Int
  let control: PAMControl

  var rule: PAMRule? {
    if case .module(let rule) = kind { return rule }
    return nil
  }
}

/// The modules of a service for one facility, in the order in which libpam calls them.
struct PAMChain {
  /// The result of running a chain.
  struct Dispatch {
    let status: PAMResult
    /// Indexes of the handlers that were called.
    let called: [Int]
    /// The result of each handler, nil if it was skipped. They decide what pam_setcred(3) calls.
    let results: [PAMResult?]

    var isSuccess: Bool { status == .success }
  }

  let handlers: [PAMHandler]

  var rules: [PAMRule] { handlers.compactMap(\.rule) }

  /// The handlers of pam_twofactor.
  var twoFactorIndexes: [Int] { handlers.indices.filter { handlers[$0].rule?.isTwoFactor == true } }

  /// The chain that libpam would have without the lines of pam_twofactor.
  var withoutTwoFactor: PAMChain { PAMChain(handlers: handlers.filter { $0.rule?.isTwoFactor != true }) }

  /// The indexes of the handlers of ``withoutTwoFactor``.
  var placesWithoutTwoFactor: [Int] { handlers.indices.filter { handlers[$0].rule?.isTwoFactor != true } }

  /// The result if no module of a stack decides (`PAM_MUST_FAIL_CODE`).
  private static let undecided = PAMResult.permissionDenied

  private enum Impression {
    case undefined
    case positive
    case negative
  }

  private struct State {
    var impression = Impression.undefined
    var status = PAMChain.undecided

    var isOpen: Bool { impression == .undefined || (impression == .positive && status == .success) }
  }

  /// Calls the modules as `_pam_dispatch_aux` of libpam does. `result` is the result of the module at an index.
  ///
  /// For pam_setcred(3), the results of authentication (`cached`) decide the actions. There a jump counts as `ok` if
  /// `jumpsDecide`; Debian's libpam ignores it.
  func dispatch(
    cached: [PAMResult?]? = nil, jumpsDecide: Bool = false, _ result: (PAMRule, Int) -> PAMResult
  ) -> Dispatch {
    var state = State()
    // By the level of the substack.
    var entered = [state]
    var results = [PAMResult?](repeating: nil, count: handlers.count)
    var called: [Int] = []
    var level = 0
    var index = 0
    while index < handlers.count {
      let handler = handlers[index]
      let current = index
      index += 1
      if level < handler.level { entered = entered.prefix(handler.level) + [state] }
      level = handler.level
      var value = Self.undecided
      switch handler.kind {
      case .substack: continue
      case .failing: break
      case .module(let rule):
        called.append(current)
        value = result(rule, current)
      }
      results[current] = value
      if value == .incomplete { return Dispatch(status: value, called: called, results: results) }
      let decisive = cached.map { $0[current] ?? value } ?? value
      let action = handler.control.action(on: decisive)
      switch action {
      case .ignore: break
      case .reset: state = entered[level]
      case .ok, .done:
        Self.accept(value, decisive, &state)
        if action == .done, state.impression == .positive { index = end(ofLevel: level, from: index) }
      case .bad, .die:
        if state.impression != .negative {
          state = State(impression: .negative, status: value == .ignore ? Self.undecided : value)
        }
        if action == .die { index = end(ofLevel: level, from: index) }
      case .jump(var count):
        if cached != nil, jumpsDecide { Self.accept(value, decisive, &state) }
        while index < handlers.count, handlers[index].level >= level, count > 0 {
          repeat { index += 1 } while index < handlers.count && handlers[index].level > level
          count -= 1
        }
        if count > 0 { state = State(impression: .negative, status: Self.undecided) }
      }
    }
    let isGuarded = state.status == .success && state.impression != .positive
    return Dispatch(status: isGuarded ? Self.undecided : state.status, called: called, results: results)
  }

  private static func accept(_ value: PAMResult, _ decisive: PAMResult, _ state: inout State) {
    // If a cached result decides, `ignore` must not become the result of the stack.
    guard state.isOpen, value != .ignore || decisive == value else { return }
    state = State(impression: .positive, status: value)
  }

  /// The index after the last handler at this level or deeper.
  private func end(ofLevel level: Int, from index: Int) -> Int {
    handlers[index...].firstIndex { $0.level < level } ?? handlers.count
  }
}
