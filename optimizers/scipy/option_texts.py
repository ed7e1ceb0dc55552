"""Default and meaning of SciPy's options that no constructor names, for the command line and docs.

The defaults are SciPy's; a class' own documentation comes first where it names an option.
"""

#: ``{option: (default, meaning)}``.
FURTHER_OPTIONS: dict[str, tuple[str, str]] = {
    "c1": ("1e-4", "Armijo condition of the line search"),
    "c2": ("0.9 (CG: 0.4)", "curvature condition of the line search"),
    "catol": ("1e-4 (before SciPy 1.16: 2e-4)", "accepted violation of constraints"),
    "direc": ("None", "initial directions, shape (n, n)"),
    "disp": ("False", "print the result's message and counts at the end"),
    "eps": ("1e-8", "absolute step of finite differences"),
    "eta": (
        "-1: 0.25 (trust region: 0.15)",
        "line search's severity; accepted part of a fall",
    ),
    "f_target": ("-inf", "stop when the value is at most this"),
    "factorization_method": ("None", "how the constraints' Jacobian is factorised"),
    "fatol": ("1e-4", "difference of values that is acceptable for convergence"),
    "feasibility_tol": ("1e-8", "accepted violation of constraints"),
    "finite_diff_rel_step": ("None", "relative step of finite differences"),
    "ftol": ("1e-4", "relative error of values that is acceptable for convergence"),
    "gtol": ("1e-5", "stop when the largest component of the (projected) gradient is smaller"),
    "hess_inv0": ("None: the identity", "initial inverse Hessian, shape (n, n)"),
    "inexact": ("True", "solve subproblems roughly: more steps, fewer Hessian products"),
    "initial_barrier_parameter": ("0.1", "initial barrier parameter"),
    "initial_barrier_tolerance": ("0.1", "initial tolerance of the barrier subproblem"),
    "initial_constr_penalty": ("1.0", "initial penalty of constraints"),
    "initial_simplex": ("None", "initial points, shape (n + 1, n)"),
    "initial_tr_radius": ("1.0", "initial trust-region radius"),
    "maxCGit": ("-1: max(1, min(50, n / 2))", "products of Hessian and vector an iteration"),
    "maxcor": ("10", "how many steps stand in for the Hessian"),
    "maxiter": ("15000", "maximum number of iterations"),
    "maxls": ("20", "evaluations of one line search"),
    "mesg_num": ("None", "what is printed: 0 nothing, 1 a line an iteration, ... 5 all"),
    "minfev": ("0", "estimate of the minimum"),
    "norm": ("inf", "order of the norm of the gradient"),
    "offset": ("None", "what is subtracted from each variable"),
    "rescale": ("-1: 1.3", "scaling factor (log10) that triggers a rescaling of the value"),
    "restart": ("True", "doubt a stop by ftol where the gradient is large, once; not SciPy's"),
    "return_all": ("False", "keep all iterates, as allvecs"),
    "scale": ("None (COBYQA: False)", "scaling factors of the variables; COBYQA: whether to scale"),
    "sparse_jacobian": ("None", "whether the constraints' Jacobian is sparse"),
    "speculate": ("1", "steps of a line search that are tried at a time; not SciPy's"),
    "stepmx": ("0: 10", "longest step of the line search"),
    "subproblem_maxiter": ("None", "iterations of a subproblem, from SciPy 1.17"),
    "values_first": (
        "True",
        "on fewer workers than points, save the gradient of steps that are too long; not SciPy's",
    ),
    "verbose": ("0", "how much SciPy prints: 0 to 3"),
    "xrtol": ("0", "stop when the relative step is smaller"),
}
