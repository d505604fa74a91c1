// A client by Go's net/http, as a program of the client protocol: `go run client.go`, with nothing but the standard library.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

type image struct {
	Path        string `json:"path"`
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
}

type testCase struct {
	Type, ID string
	BaseURL  string `json:"base_url"`
	Key      string `json:"api_key"`
	Input    struct {
		Prompt      string
		Model, Size *string
		Images      []image
	}
	Interval float64 `json:"poll_interval_s"`
	Deadline float64 `json:"deadline_s"`
	StateDir string  `json:"state_dir"`
}

type problem struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

type video struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Model  string `json:"model"`
}

type body struct {
	video
	Code    any    `json:"code"`
	Message string `json:"message"`
	Error   *struct {
		Code    any    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// answer is what came back; status 0 where it did not come, or not whole.
type answer struct {
	status int
	header http.Header
	data   []byte
	body   body
}

func (a answer) code() string {
	if a.body.Error != nil {
		return fmt.Sprint(a.body.Error.Code)
	}
	return fmt.Sprint(a.body.Code)
}

func (a answer) message() string {
	if a.body.Error != nil && a.body.Error.Message != "" {
		return a.body.Error.Message
	}
	if a.body.Message != "" {
		return a.body.Message
	}
	return fmt.Sprintf("an answer of %d", a.status)
}

func (a answer) passing() bool {
	switch a.status {
	case 0, 408, 425, 429, 500, 502, 503, 504, 520, 522, 524:
		return a.code() != "model_not_found"
	}
	return false
}

func (a answer) retryAfter() float64 {
	value := a.header.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		return seconds
	}
	date, err := http.ParseTime(value)
	now, problem := http.ParseTime(a.header.Get("Date"))
	if err != nil || problem != nil {
		return 0
	}
	return date.Sub(now).Seconds()
}

// givenUp ends a call.
type givenUp struct{ outcome, message string }

func (g givenUp) Error() string { return g.message }

type call struct {
	testCase
	http   *http.Client
	end    time.Time
	reason string
}

func (c *call) sleep(seconds float64) error {
	pause := time.Duration(seconds * float64(time.Second))
	if time.Now().Add(pause).After(c.end) {
		return givenUp{"timeout", "the deadline passed"}
	}
	time.Sleep(pause)
	return nil
}

func (c *call) wait(a answer, troubles int) error {
	return c.sleep(math.Max(a.retryAfter(), c.Interval*math.Pow(2, math.Min(float64(troubles), 6))))
}

func (c *call) ask(method, path, contentType string, form []byte) answer {
	request, err := http.NewRequest(method, c.BaseURL+"/videos"+path, bytes.NewReader(form))
	if err != nil {
		panic(err)
	}
	request.Header.Set("Authorization", "Bearer "+c.Key)
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{header: response.Header}
	}
	a := answer{status: response.StatusCode, header: response.Header, data: data}
	if json.Unmarshal(data, &a.body) != nil {
		a.body = body{}
	}
	return a
}

var quoted = strings.NewReplacer("\"", "%22", "\r", "%0D", "\n", "%0A")

func (c *call) form() (string, []byte, error) {
	var buffer bytes.Buffer
	form := multipart.NewWriter(&buffer)
	form.WriteField("prompt", c.Input.Prompt)
	for name, value := range map[string]*string{"model": c.Input.Model, "size": c.Input.Size} {
		if value != nil {
			form.WriteField(name, *value)
		}
	}
	for _, one := range c.Input.Images {
		data, err := os.ReadFile(one.Path)
		if err != nil {
			return "", nil, err
		}
		// CreateFormFile would call every file application/octet-stream.
		part, _ := form.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {`form-data; name="input_reference"; filename="` + quoted.Replace(one.Filename) + `"`},
			"Content-Type":        {one.ContentType},
		})
		part.Write(data)
	}
	form.Close()
	return form.FormDataContentType(), buffer.Bytes(), nil
}

func (c *call) create() (video, error) {
	contentType, form, err := c.form()
	if err != nil {
		return video{}, err
	}
	for troubles := 0; ; troubles++ {
		a := c.ask("POST", "", contentType, form)
		if a.status == 200 && a.body.ID != "" {
			c.keepReason(a)
			return a.body.video, nil
		}
		// Each create is paid for: it is sent again only where the first was certainly not applied.
		refused := a.status == 408 || a.status == 425 || a.status == 429 || a.status == 503
		if !refused || !a.passing() {
			return video{}, givenUp{"error", a.message()}
		}
		if err := c.wait(a, troubles); err != nil {
			return video{}, err
		}
	}
}

func (c *call) follow(job *video) (string, error) {
	id := job.ID
	for troubles := 0; job.Status != "completed" && job.Status != "failed" && job.Status != "error"; {
		if troubles == 0 {
			if err := c.sleep(c.Interval); err != nil {
				return "", err
			}
		}
		a := c.ask("GET", "/"+url.PathEscape(id), "", nil)
		if a.status == 200 && a.body.Status != "" {
			*job, troubles = a.body.video, 0
			job.ID = id
			c.keepReason(a)
			continue
		}
		unseen := a.code() == "task_not_exist" && troubles < 6
		if !a.passing() && a.status != 200 && !unseen {
			return "", givenUp{"error", a.message()}
		}
		if err := c.wait(a, troubles); err != nil {
			return "", err
		}
		troubles++
	}
	return c.reason, nil
}

func (c *call) keepReason(a answer) {
	c.reason = "it failed without a reason"
	if a.body.Error != nil && a.body.Error.Message != "" {
		c.reason = a.body.Error.Message
	}
}

func (c *call) download(id string) (string, error) {
	for troubles := 0; ; troubles++ {
		a := c.ask("GET", "/"+url.PathEscape(id)+"/content", "", nil)
		// An MP4 has this word after the length of its first box.
		if a.status == 200 && len(a.data) > 8 && string(a.data[4:8]) == "ftyp" {
			path := filepath.Join(c.StateDir, "video.mp4")
			return path, os.WriteFile(path, a.data, 0o600)
		}
		if (!a.passing() && a.status != 200) || troubles > 6 {
			return "", givenUp{"error", a.message()}
		}
		if err := c.wait(a, troubles); err != nil {
			return "", err
		}
	}
}

func (c *call) play() map[string]any {
	result := map[string]any{"type": "result", "id": c.ID, "outcome": "completed", "error": nil}
	job, err := c.create()
	reason := ""
	if err == nil {
		reason, err = c.follow(&job)
	}
	if job.ID != "" {
		result["video"] = &job
	}
	if err == nil && job.Status != "completed" {
		err = givenUp{"failed", reason}
	}
	if ended, is := err.(givenUp); is {
		result["outcome"] = ended.outcome
	} else if err == nil {
		var path string
		if path, err = c.download(job.ID); err == nil {
			result["content_path"] = path
		}
	}
	if ended, is := err.(givenUp); is {
		result["error"] = problem{ended.outcome, ended.message}
	} else if err != nil {
		return map[string]any{"type": "adapter_error", "id": c.ID, "message": err.Error()}
	}
	return result
}

// stay keeps the key from another origin: newer Go takes headers along to another port of the same host.
func stay(request *http.Request, via []*http.Request) error {
	if request.URL.Host != via[0].URL.Host {
		request.Header.Del("Authorization")
	}
	if len(via) >= 10 {
		return http.ErrUseLastResponse
	}
	return nil
}

func main() {
	lines, out, writing := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout), sync.Mutex{}
	lines.Buffer(nil, 1<<24)
	say := func(message any) {
		writing.Lock()
		defer writing.Unlock()
		out.Encode(message)
	}
	var open sync.WaitGroup
	for lines.Scan() {
		var message testCase
		if err := json.Unmarshal(lines.Bytes(), &message); err != nil {
			panic(err)
		}
		switch message.Type {
		case "hello":
			features := map[string]any{"images": 2, "content": true, "deadline": true, "poll_interval": true}
			say(map[string]any{"type": "hello", "client": "net/http", "version": strings.TrimPrefix(runtime.Version(), "go"),
				"features": features, "max_in_flight": 4})
		case "case":
			open.Add(1)
			limit := time.Duration(message.Deadline * float64(time.Second))
			client := &http.Client{CheckRedirect: stay, Timeout: limit + 2*time.Second}
			one := &call{testCase: message, http: client, end: time.Now().Add(limit)}
			go func() {
				defer open.Done()
				say(one.play())
			}()
		}
	}
	open.Wait()
}
