/* page_style.h - how the page of all reports looks: both themes, phones, paper. Text on its ground has a contrast of at
 * least 4.5 (WCAG 2.1). Figures lie on white in both themes. */
#ifndef ANALYSIS_PAGE_STYLE_H
#define ANALYSIS_PAGE_STYLE_H

#define PAGE_STYLE                                                                                                     \
    ":root{color-scheme:light dark;--ground:#fff;--text:#1c1e21;--quiet:#52565c;--line:#d4d7db;--box:#f5f6f8;"         \
    "--link:#0b57a4;--bad:#a3261b}\n"                                                                                  \
    "@media (prefers-color-scheme:dark){:root{--ground:#15181c;--text:#e5e7ea;--quiet:#a9afb7;--line:#3a4048;"         \
    "--box:#1e2329;--link:#8cbcff;--bad:#ff9d90}}\n"                                                                   \
    "*{box-sizing:border-box}\n"                                                                                       \
    "body{margin:0 auto;padding:1rem;max-width:70rem;background:var(--ground);color:var(--text);"                      \
    "font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}\n"                                                     \
    "p,ul,ol,figcaption,dl{max-width:50rem}\n"                                                                         \
    "a{color:var(--link)}\n"                                                                                           \
    "h1{margin:.5rem 0;font-size:1.7rem;line-height:1.2}\n"                                                            \
    "h2{margin:3rem 0 .5rem;padding-top:.5rem;border-top:2px solid var(--line);font-size:1.35rem}\n"                   \
    "h3{margin:2rem 0 .25rem;font-size:1.05rem;max-width:50rem}\n"                                                     \
    "nav h2{margin-top:1.5rem}\n"                                                                                      \
    "li{margin:.35rem 0}\n"                                                                                            \
    ".note,.made,.files,figcaption,small{color:var(--quiet);font-size:.875rem}\n"                                      \
    ".note{margin:.25rem 0 .5rem}\n"                                                                                   \
    ".files{margin:.25rem 0}\n"                                                                                        \
    ".findings li:first-child{font-weight:600}\n"                                                                      \
    ".failed{border-left:4px solid var(--bad);padding-left:.75rem}\n"                                                  \
    ".failed strong{color:var(--bad)}\n"                                                                               \
    "figure{margin:1.5rem 0}\n"                                                                                        \
    ".wide{overflow-x:auto;max-width:100%}\n"                                                                          \
    "img{display:block;width:100%;min-width:36rem;max-width:56rem;height:auto;background:#fff;"                        \
    "border:1px solid var(--line)}\n"                                                                                  \
    "table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums;overflow-wrap:normal}\n"       \
    "th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top;"              \
    "white-space:nowrap}\n"                                                                                            \
    "th{background:var(--box)}\n"                                                                                      \
    "th small{font-weight:400}\n"                                                                                      \
    ".text{text-align:left;white-space:normal;min-width:8rem;max-width:26rem}\n"                                       \
    "dt{font-weight:600;margin-top:.5rem}\n"                                                                           \
    "dd{margin:0}\n"                                                                                                   \
    "code{font-size:.875rem}\n"                                                                                        \
    ":focus-visible{outline:3px solid var(--link);outline-offset:2px}\n"                                               \
    ".skip{position:absolute;left:-99rem}\n"                                                                           \
    ".skip:focus{position:static}\n"                                                                                   \
    "@media print{:root{--ground:#fff;--text:#000;--quiet:#333;--line:#999;--box:#fff;--link:#000;--bad:#000}"         \
    "nav,.skip{display:none}.wide{overflow:visible}img{min-width:0;max-width:100%}table{font-size:.7rem}"              \
    "th,td{white-space:normal;padding:.15rem .3rem}.text{min-width:0}figure,tr{break-inside:avoid}"                    \
    "h2,h3{break-after:avoid}}\n"

#endif
